"""Parks, in the main process of a worker, what ended where its own process could not say so."""

# celery-types has this class as it once was.
# mypy: disable-error-code="attr-defined, misc, override"

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from billiard.einfo import ExceptionWithTraceback
from celery.concurrency.base import BasePool
from celery.exceptions import TaskPredicate, Terminated, TimeLimitExceeded, WorkerLostError
from celery.utils.log import get_logger
from celery.worker import request as celery_request
from celery.worker import state
from django.conf import settings
from django.db import Error
from kombu.asynchronous import get_event_loop

from workers import connections, dead_letters, messages, poison
from workers.models import DeadLetter

logger = get_logger(__name__)

LOST = (WorkerLostError, SystemExit, KeyboardInterrupt)


class Request(celery_request.Request):
    """A message in hand. What fails for good is a row before it is acknowledged."""

    kept: bool | None = None  # whether the row is there; None where none was needed yet
    cancelled = False  # whether the message is left to somebody else

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        messages.check(self)

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """Park what exceeded its hard time limit; a worker that stops gives it back instead."""
        if self.acknowledged and self.task.acks_late:
            return  # it has ended: to say so was what took too long
        if soft:
            super().on_timeout(soft, timeout)
        elif state.should_terminate:
            celery_request.task_ready(self)
            self.reject(requeue=True)
        elif self.keep(str(TimeLimitExceeded(timeout))):
            with self.settled():
                super().on_timeout(soft, timeout)

    def on_failure(
        self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False
    ) -> None:
        """Park what failed, unless the task itself has, or it is given back."""
        exc = e.exc if isinstance(e := exc_info.exception, ExceptionWithTraceback) else e
        again = isinstance(exc, LOST) and self.task.acks_late and self.task.reject_on_worker_lost
        elsewhere = again or isinstance(exc, (TaskPredicate, Terminated))
        if elsewhere or (return_ok and not exc_info.internal) or self.keep(str(exc_info)):
            with self.settled():
                super().on_failure(exc_info, send_failed_event, return_ok)

    @contextmanager
    def settled(self) -> Iterator[None]:
        """Settle the message though Celery cannot write down its end: where results are is away."""
        try:
            yield
        except MemoryError:  # ends the worker
            raise
        except Exception as error:
            logger.warning("Nobody is told the end of %s[%s]: %r", self.name, self.id, error)
            if self.kept:
                self.acknowledge()
            elif not self.acknowledged:
                self.give_back()

    def _success_was_stored(self) -> Any:  # perhaps nobody has counted a member of a chord
        late = self.task.acks_late and self.task.reject_on_worker_lost
        return False if late and self._context.chord else super()._success_was_stored()

    def _announce_revoked(self, *args: Any, **kwargs: Any) -> None:
        try:
            super()._announce_revoked(*args, **kwargs)
        except Exception as error:  # in the loop of the worker, which would end of it
            logger.warning("Nobody is told that %s was revoked: %r", self.id, error)
            self._already_revoked = True
            self.acknowledge()

    def reject(self, requeue: bool = False) -> None:
        """Put the message back, or park it: a broker would drop it, or keep it apart as well."""
        if requeue or self.acknowledged:
            super().reject(requeue=requeue)
        elif self.keep("It was rejected."):
            self.acknowledge()

    def cancel(self, pool: Any, *args: Any, **kwargs: Any) -> None:
        """End a task that somebody else will run again; its process did not die of it."""
        if getattr(pool.terminate_job, "__func__", None) is BasePool.terminate_job:
            return  # nobody can end a thread: it finishes
        self.cancelled = True
        try:
            # Its state is for whoever runs it again to tell.
            super().cancel(pool, *args, **{**kwargs, "emit_retry": False})
            self.forget()
        except Error as error:
            logger.warning("The starts of %s[%s] stay: %s", self.name, self.id, error)
        finally:
            connections.close_all()

    def acknowledge(self) -> None:
        """Have the broker forget the message. A greenlet that was killed says that it succeeded."""
        if not self.cancelled:
            try:
                super().acknowledge()
            finally:
                self.acknowledged = True

    def keep(self, history: str) -> bool:
        """Park it and return True. One done elsewhere is acknowledged; without a database, it goes back."""
        if self.kept is None:
            try:
                self.kept = dead_letters.park_request(
                    DeadLetter.Reason.FAILED, self.task.name, self._context, history
                )
                self.forget()
                self._context.parked = True
                if not self.kept:  # nothing has failed
                    celery_request.task_ready(self)
                    self.acknowledge()
            except Error as error:
                logger.warning("%s[%s] goes back to the broker: %s", self.name, self.id, error)
                self.kept = False
                celery_request.task_ready(self)
                self.give_back()
            finally:
                connections.close_all()
        return self.kept

    def forget(self) -> None:
        """Forget its starts, where any were counted."""
        if poison.is_redelivered(self._context):
            poison.forget(self.id)

    def give_back(self) -> None:
        """Put the message back after a pause: at once, it would come back at once."""
        if hub := get_event_loop():
            hub.call_later(settings.PARKING_PAUSE, self.reject, True)
        else:
            time.sleep(settings.PARKING_PAUSE)
            self.reject(requeue=True)
