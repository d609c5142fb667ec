"""Queues, workers and routes: the one place to change them.

Everything else follows: the settings, `python -m workers.run`, `make run` and the checks.
"""

from workers.worker import Worker

# The first worker's queue takes every task that no route names.
WORKERS = [
    Worker("jobs", pool="threads", concurrency=20),
]

# A task's name, or a glob with *, and its queue: an exact name first, then the first glob that fits.
ROUTES: dict[str, str] = {}
# Every queue once, the default one first.
QUEUES = tuple(dict.fromkeys(queue for worker in WORKERS for queue in worker.consumes))
# The most tasks at once that one process may have.
WIDEST = max(worker.most for worker in WORKERS)
