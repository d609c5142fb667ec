"""Queues, workers and routes: the one place to change them.

Everything else follows: the settings, `python -m workers.run`, `make run` and the checks.
"""

from workers.worker import Worker

# The first worker's queue takes every task that no route names.
WORKERS = [
    Worker("default", pool="prefork", concurrency=4),
    Worker("cpu_heavy", pool="prefork", concurrency=4),
    Worker("io_heavy", pool="gevent", concurrency=100),
    Worker("email", pool="prefork", concurrency=4),
]

# A task's name, or a glob with *, and its queue: an exact name first, then the first glob that fits.
ROUTES: dict[str, str] = {
    "orders.tasks.render_*": "cpu_heavy",
    "orders.tasks.call_*": "io_heavy",
    "orders.tasks.send_*": "email",
}
# Every queue once, the default one first.
QUEUES = tuple(dict.fromkeys(queue for worker in WORKERS for queue in worker.consumes))
# The most tasks at once that one process may have.
WIDEST = max(worker.most for worker in WORKERS)
