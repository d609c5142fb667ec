"""Switches off a mechanism that keeps the promise, to see that the suite notices."""

import os
from collections.abc import Callable

import loyalty.services
from workers.delivery import Task


def _without_outbox() -> None:
    """Publish on commit, and hope."""
    for name in ("delay_on_commit", "apply_async_on_commit"):
        if name in vars(Task):
            delattr(Task, name)


def _without_unique_key() -> None:
    """Take each time for the first one."""
    loyalty.services.first_time = lambda key: True


def _without_poison_guard() -> None:
    """Start a task however often its process has died of it."""
    if "before_start" in vars(Task):
        del Task.before_start


def _without_owing() -> None:
    """Tell a broker once that a task has ended, and hope."""
    from workers.unacknowledged import QoS

    for name in ("ack", "reject"):
        delattr(QoS, name)


MECHANISMS: dict[str, Callable[[], None]] = {
    "outbox": _without_outbox,
    "unique-key": _without_unique_key,
    "poison-guard": _without_poison_guard,
    "owing": _without_owing,
}


def switch_off() -> None:
    """Switch off the one that the environment names."""
    if name := os.environ.get("FAULT_WITHOUT"):
        MECHANISMS[name]()
