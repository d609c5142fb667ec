"""Queues, workers and routes: the one place to change them.

Everything else follows: the settings, `python -m workers.run`, `make run` and the checks.
"""

from workers.worker import Worker

# The first worker's queue takes every task that no route names.
WORKERS = (
    Worker("jobs", pool="threads", concurrency=20),
)

# A task's name, or a glob with *, and the queue that it goes to; the first match wins.
ROUTES: dict[str, str] = {}
