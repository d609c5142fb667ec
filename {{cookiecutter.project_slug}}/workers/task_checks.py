"""System checks of every task, and of those that are sent periodically."""

from collections.abc import Mapping
from typing import Any

from celery import current_app
from django.core.checks import CheckMessage, Error, register

from config import limits
from workers.delivery import Task


@register("workers")
def check_limits(**kwargs: Any) -> list[CheckMessage]:
    """Refuse a task that may run for longer than whoever stops a worker waits for it."""
    return [
        Error(
            f"The task {task.name} may run for {task.time_limit} s, longer than any is waited for: "
            "a deployment would cut it short.",
            f"Set TASK in config/limits.py to {task.time_limit}, or lower its time_limit.",
            id="workers.E014",
        )
        for task in tasks().values()
        if (getattr(task, "time_limit", None) or 0) > limits.TASK
    ]


@register("workers")
def check_classes(**kwargs: Any) -> list[CheckMessage]:
    """Refuse a task whose class is Celery's own, which keeps none of our promises."""
    return [
        Error(
            f"The task {task.name} is of a class that does not come from workers.delivery.Task: it "
            "would be lost where the broker is away, and run for ever where it kills its process.",
            "Have the class that it names as `base` inherit from workers.delivery.Task.",
            id="workers.E016",
        )
        for task in tasks().values()
        if not isinstance(task, Task)
    ]


@register("workers")
def check_schedule(**kwargs: Any) -> list[CheckMessage]:
    """Refuse a periodic task that no worker knows, and one whose runs would pile up."""
    schedule, known = current_app.conf.beat_schedule, tasks()
    ours = sorted(task for task in known if not task.startswith("celery."))
    unknown = [
        Error(
            f"The periodic task {name!r} is {entry.get('task')!r}, which no worker knows: "
            "each one that is sent would be thrown away.",
            f"Name one of: {', '.join(ours)}.",
            id="workers.E005",
        )
        for name, entry in schedule.items()
        if entry.get("task") not in known
    ]
    endless = [
        Error(
            f"The periodic task {name!r} has no `expires`: sent while no worker is up, its runs "
            "would pile up and then happen all at once.",
            'Add "options": {"expires": SECONDS}, a little less than the time to its next run.',
            id="workers.E006",
        )
        for name, entry in schedule.items()
        if not (entry.get("options") or {}).get("expires")
    ]
    return [*unknown, *endless]


def tasks() -> Mapping[str, Any]:
    """Return every task by its name, as a worker would know it."""
    current_app.autodiscover_tasks(force=True)
    return current_app.tasks
