"""Does in every worker, beside its tasks, what has to be done again and again, and needs no beat."""

# celery-types has these classes as they once were.
# mypy: disable-error-code="attr-defined, override"

import random
import time
from threading import Event, Thread
from typing import Any

from celery import bootsteps
from celery.utils.log import get_logger
from django.conf import settings
from django.db import connections as databases
from django.utils.module_loading import import_string

from workers import connections
from workers.budget import covers_keeper
from workers.forks import ForkLock
from workers.worker import Worker

logger = get_logger(__name__)

# What is done every so many seconds; brokers add to it. By name: models cannot be loaded yet.
CHORES = [
    (10, "workers.relay.sweep"),
    (10, "workers.replay.send_known"),
    (60 * 60, "workers.retention.enforce"),
]
# The first turn of each comes within so many seconds, and at another moment in each worker.
FIRST = 10

_busy = ForkLock()
# What this process is.
_worker = Worker("")


def configure(pool: str, most: int) -> None:
    """Say which pool this worker has, and how many tasks at once it runs."""
    global _worker
    _worker = Worker("", pool, most)


class Keeper(bootsteps.StartStopStep):
    """One thread in the main process of a worker; under greenlets, a greenlet."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        self.stopping = Event()
        self.failures: dict[str, str] = {}
        super().__init__(parent, **kwargs)

    def start(self, parent: Any) -> None:
        """Begin, once the pool's first children are there."""
        # Ends with the process: no stop waits for it.
        Thread(target=self.run, name="keeper", daemon=True).start()

    def stop(self, parent: Any) -> None:
        """Begin nothing more."""
        self.stopping.set()

    terminate = stop

    def run(self) -> None:
        """Do each chore when it is due, until the worker stops."""
        have_own_connections()
        now = time.monotonic()
        turns = {chore: now + random.uniform(0, FIRST) for _, chore in CHORES}  # noqa: S311
        while not self.stopping.wait(max(0, min(turns.values()) - time.monotonic())):
            for every, chore in CHORES:
                if turns[chore] <= time.monotonic() and not self.stopping.is_set():
                    self.do(chore)
                    turns[chore] = time.monotonic() + every

    def do(self, chore: str) -> None:
        """Do a chore; say once where it fails, and once when it does no longer."""
        with _busy:
            try:
                import_string(chore)()
                if self.failures.pop(chore, None):
                    logger.info("%s succeeds again", chore)
            except Exception as error:  # this thread must not end
                kind = type(error).__name__
                if self.failures.get(chore) != kind:
                    logger.warning("%s failed, and is tried again: %s: %s", chore, kind, error)
                self.failures[chore] = kind
            finally:
                connections.close_all()


def have_own_connections() -> None:
    """Have this thread open connections of its own where no pool has one to spare, and keep none."""
    strategy, largest = settings.DATABASE_CONNECTION, connections.largest_pool()
    for connection in databases.all():
        if covers_keeper(_worker, strategy, connection.vendor, largest):
            continue
        apart = connection.copy()
        apart.settings_dict["OPTIONS"].pop("pool", None)
        apart.settings_dict["CONN_MAX_AGE"] = 0
        databases[connection.alias] = apart
