"""System checks that hold the running project to what config/ declares."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from celery import current_app
from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from config.queues import ROUTES, WORKERS
from workers.pools import POOLS
from workers.task_checks import tasks
from workers.worker import problems, quorum_problems

DECLARATION = "config/queues.py"


@register("workers")
def check_declaration(**kwargs: Any) -> list[CheckMessage]:
    """Refuse a declaration that breaks a rule, among them a route to an undeclared queue."""
    queues = current_app.conf.task_queues or ()
    quorum = any((queue.queue_arguments or {}).get("x-queue-type") == "quorum" for queue in queues)
    return [
        Error(
            f"{DECLARATION}: {found.value}: {found.reason}.", f"{found.remedy}.", id="workers.E001"
        )
        for found in [*problems(WORKERS, ROUTES), *(quorum_problems(WORKERS) if quorum else ())]
    ]


@register("workers")
def check_queues_are_consumed(**kwargs: Any) -> list[CheckMessage]:
    """Refuse a queue that the settings or a task name and that no worker consumes."""
    consumed = {queue for worker in WORKERS for queue in worker.consumes}
    return [
        Error(
            f"{place} names the queue {queue!r}, which no worker consumes: its tasks would wait for ever.",
            f"Add it to a worker in {DECLARATION}, or name one of: {', '.join(sorted(consumed))}.",
            id="workers.E002",
        )
        for place, queue in _named_queues()
        if queue not in consumed
    ]


@register("workers")
def check_pools_are_installed(**kwargs: Any) -> list[CheckMessage]:
    """Refuse a pool whose package is missing: its worker would die at its start."""
    needed = {
        worker: pool.package
        for worker in WORKERS
        if (pool := POOLS.get(worker.pool)) and pool.package
    }
    return [
        Error(
            f"The worker {worker.name!r} uses the pool {worker.pool!r}, which needs {package}.",
            f"Run `uv add {package}`.",
            id="workers.E003",
        )
        for worker, package in needed.items()
        if find_spec(package) is None
    ]


@register("workers")
def check_visibility_timeout(**kwargs: Any) -> list[CheckMessage]:
    """Refuse a broker that would hand out a task a second time while it runs or waits."""
    conf = current_app.conf
    needed = conf.task_time_limit + settings.LONGEST_COUNTDOWN
    given = conf.broker_transport_options.get("visibility_timeout", needed)
    if given >= needed:
        return []
    return [
        Error(
            f"The broker's visibility_timeout is {given} s, but a task may run for "
            f"{conf.task_time_limit} s after waiting for {settings.LONGEST_COUNTDOWN} s: "
            "it would run a second time meanwhile.",
            f"Raise it to {needed} s or more, or lower CELERY_TASK_TIME_LIMIT or LONGEST_COUNTDOWN.",
            id="workers.E004",
        )
    ]


def _named_queues() -> Iterator[tuple[str, str]]:
    """Yield (place, queue) for every queue that is named outside the declaration."""
    conf = current_app.conf
    yield "CELERY_TASK_DEFAULT_QUEUE", conf.task_default_queue
    for queue in conf.task_queues or ():
        yield "CELERY_TASK_QUEUES", queue.name
    for task in tasks().values():
        if queue := getattr(task, "queue", None):
            yield f"The task {task.name}", queue
