"""Celery's own extension point for Django, `Celery(fixups=…)`, with connections as chosen.

By itself Celery closes every connection before and after each task, whatever the settings say.
"""

# celery-types has these classes as they once were.
# mypy: disable-error-code="assignment, attr-defined, func-returns-value, has-type, method-assign, misc, return-value"

import os
from types import SimpleNamespace
from typing import Any

from celery import Celery, concurrency, signals
from celery.concurrency import thread
from celery.concurrency.prefork import TaskPool
from celery.fixups.django import DjangoFixup, DjangoWorkerFixup
from celery.utils.log import get_logger
from django.core.cache import caches
from django.core.checks import run_checks
from django.db.backends.signals import connection_created

from workers import connections, drain, forks, keeper, preload, tracing
from workers.events import BatchEvents
from workers.heartbeat import Heartbeat
from workers.pools import offers

logger = get_logger(__name__)


def fixup(app: Celery) -> DjangoFixup:
    """Install it."""
    return Fixup(app).install()


class Fixup(DjangoFixup):
    """What Celery does for Django in every process."""

    def on_worker_init(self, **kwargs: Any) -> None:
        """Prepare a worker. Raises SystemExit where that fails: Celery would go on without it."""
        try:
            super().on_worker_init(**kwargs)
        except Exception as error:
            logger.exception("A worker cannot be prepared")
            raise SystemExit(1) from error

    @property
    def worker_fixup(self) -> DjangoWorkerFixup:
        """What it does in workers."""
        if self._worker_fixup is None:
            self._worker_fixup = WorkerFixup(self.app)
        return self._worker_fixup


class WorkerFixup(DjangoWorkerFixup):
    """What happens to connections in a worker. Caches stay open: their clients connect again."""

    def validate_models(self) -> None:
        """Set Django up. Raises SystemExit with what its checks refuse, as `manage.py` does."""
        self.django_setup()
        if not os.environ.get("CELERY_SKIP_CHECKS"):
            refused = [str(found) for found in run_checks() if found.is_serious()]
            if refused:
                raise SystemExit("\n".join(["This worker does not start:", *refused]))

    def install(self) -> DjangoWorkerFixup:
        """Prepare this worker, before its pool starts."""
        name = pool_name(self.worker.pool_cls)
        connections.close_all()
        connections.configure(name, most_at_once(self.worker))
        keeper.configure(name, most_at_once(self.worker))
        self.app.steps["consumer"].add(BatchEvents)
        self.app.steps["worker"].update((Heartbeat, keeper.Keeper))
        signals.task_prerun.connect(self.on_task_prerun)
        signals.task_postrun.connect(self.on_task_postrun)
        # Outside of tasks, the main process writes down what became of one that was revoked.
        signals.task_revoked.connect(connections.close_all)
        signals.worker_shutdown.connect(drain.over)
        if name == "solo":
            # A task holds up the loop that sends them, and RabbitMQ would take it for dead.
            self.app.conf.broker_heartbeat = 0
        if offers(name).greenlets:
            # Else each greenlet, and so each task, would make clients of its own, and connect.
            self.app.conf.result_backend_thread_safe = True
            caches._connections = SimpleNamespace()
            # Whoever asks for a result subscribes to it. Celery would do so for each task that a
            # greenlet sends, which then fails where results are away.
            self.app.backend.on_task_call = lambda *args: None
            connection_created.connect(connections.release_with_greenlet)
            signals.task_failure.connect(connections.explain)
            signals.worker_ready.connect(drain.aside)
        if offers(name).forks:
            TaskPool.Pool = drain.PreforkPool
            signals.worker_before_create_process.connect(preload.before_fork)
            signals.worker_process_init.connect(self.on_worker_process_init)
            signals.worker_shutting_down.connect(drain.bound)
        if name == "threads":
            thread.TaskPool.on_stop = drain.stop_threads
            signals.worker_ready.connect(drain.between_turns)
        return self

    def on_worker_process_init(self, **kwargs: Any) -> None:
        """Begin in a child without its parent's connections, and end with it."""
        forks.end_with_parent()
        connections.forget()
        tracing.guard(self.app, Exception)

    def on_task_prerun(self, sender: Any, **kwargs: Any) -> None:
        """Have each connection checked before the task uses it."""
        # A task that another one calls in place is a part of that one.
        if not sender.request.is_eager:
            connections.settle()

    # And after it, so that it leaves nothing behind: no lock, no transaction, no place in a pool.
    on_task_postrun = on_task_prerun


def pool_name(pool: Any) -> str:
    """Return the name of a pool, given as `--pool` has it or as the class that Celery made of it."""
    path = concurrency.ALIASES.get(pool, pool) if isinstance(pool, str) else pool.__module__
    module = path.partition(":")[0].rpartition(".")[2]
    return "threads" if module == "thread" else str(module)


def most_at_once(worker: Any) -> int:
    """Return how many tasks at once a worker runs at most."""
    highest, _ = worker.options.get("autoscale") or (0, 0)
    return max(int(worker.concurrency), int(highest))
