"""Queues, workers and routes: the one place to change them.

Everything else follows: the settings, `python -m workers.run`, `make run` and the checks.
"""

from workers.worker import Worker

# The first worker's queue takes every task that no route names.
WORKERS = [
    # % for worker in topology(cookiecutter).workers
    {{worker | declaration}},
    # % endfor
]

# A task's name, or a glob with *, and its queue: an exact name first, then the first glob that fits.
# % if topology(cookiecutter).routes
ROUTES: dict[str, str] = {
    # % for task, queue in topology(cookiecutter).routes.items()
    "{{task}}": "{{queue}}",
    # % endfor
}
# % else
ROUTES: dict[str, str] = {}
# % endif

# Every queue once, the default one first.
QUEUES = tuple(dict.fromkeys(queue for worker in WORKERS for queue in worker.consumes))
# The most tasks at once that one process may have.
WIDEST = max(worker.most for worker in WORKERS)
