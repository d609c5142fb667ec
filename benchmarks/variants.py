"""What is measured side by side."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Tasks at once of each pool, in every variant; for the pools that wait, what the template renders.
POOLS = {"prefork": 2, "threads": 20, "gevent": 100, "eventlet": 100, "solo": 1}


@dataclass(frozen=True)
class Project:
    """A kind of project.

    app: the Celery app, as MODULE:NAME.
    settings: the module of Django's settings, where there is Django.
    """

    app: str
    settings: str | None = None


PROJECTS = {
    "ours": Project("config.celery:app", "bench_settings"),
    "stock": Project("config.celery_app:app", "config.settings"),
    "bare": Project("bare:app"),
}


@dataclass(frozen=True)
class Variant:
    """A project with settings, and how many workers of it run.

    settings: Celery's, on top of what the project has; of `bare` alone.
    delivery: whether it has the delivery settings of the rendered project.
    """

    name: str
    project: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    delivery: bool = False
    workers: int = 1


# The names that make up "our delivery settings", read from the rendered project at each run.
DELIVERY = (
    "CELERY_TASK_ACKS_LATE",
    "CELERY_WORKER_PREFETCH_MULTIPLIER",
    "CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS",
    "CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP",
    "CELERY_BROKER_CONNECTION_MAX_RETRIES",
    "CELERY_BROKER_TRANSPORT_OPTIONS",
    "CELERY_TASK_PUBLISH_RETRY_POLICY",
    "CELERY_TASK_SOFT_TIME_LIMIT",
    "CELERY_TASK_TIME_LIMIT",
    "CELERY_WORKER_MAX_TASKS_PER_CHILD",
    "CELERY_WORKER_MAX_MEMORY_PER_CHILD",
)

_LATE = {"task_acks_late": True, "worker_prefetch_multiplier": 1}
_EVENTS = {"worker_send_task_events": True, "task_send_sent_event": True}
# RabbitMQ's side of ours, so that the broker does the same work for both.
_CONFIRMED = {"broker_transport_options": {"confirm_publish": True}}
_QUORUM = {
    "task_default_queue_type": "quorum",
    "task_default_exchange": "tasks",
    "task_default_exchange_type": "topic",
}

OURS = Variant("ours", "ours")
STOCK = Variant("stock", "stock")
STOCK_DELIVERY = Variant("stock, our delivery", "stock", delivery=True)
BARE_EARLY = Variant("bare, early ack", "bare")
BARE_LATE = Variant("bare, late ack", "bare", settings=_LATE)
BARE_EVENTS = Variant("bare, late ack, our events", "bare", settings=_LATE | _EVENTS)
BARE_CONFIRMED = Variant("bare, confirms", "bare", settings=_CONFIRMED)
BARE_QUORUM = Variant("bare, confirms, quorum", "bare", settings=_CONFIRMED | _QUORUM)
FLEETS = tuple(Variant(f"ours x {number}", "ours", workers=number) for number in (1, 2, 4))
