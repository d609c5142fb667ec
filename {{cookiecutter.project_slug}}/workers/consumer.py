"""Takes messages from the broker; parks those that no task can be made of, and goes on."""

# celery-types has this class as it once was.
# mypy: disable-error-code="attr-defined, misc, override"

import time
from collections.abc import Callable
from threading import Thread
from typing import Any

from celery import bootsteps, signals
from celery.utils.log import get_logger
from celery.worker import consumer
from django.conf import settings
from django.db import Error
from kombu.asynchronous import set_event_loop

from workers import connections, messages, tracing
from workers.models import DeadLetter

logger = get_logger(__name__)

# What Celery stumbles over where a message is none of its own.
STUMBLES = (AttributeError, KeyError, TypeError, ValueError)


class Consumer(consumer.Consumer):
    """A consumer that drops no message."""

    #: What its connection was made of when it began to listen.
    listens_to: Any = None

    def update_strategies(self) -> None:
        """Prepare to run each task."""
        super().update_strategies()
        # `sys.exit()` would end a thread or a greenlet, and nobody would hear of it.
        tracing.guard(self.app, Exception, SystemExit)

    def perform_pending_operations(self) -> None:
        """Do what waits for the loop's next turn.

        Raises ConnectionResetError where the connection is gone, as whoever has just acknowledged
        may know: kombu would open another one, and the worker listen there, where nobody sends.
        """
        super().perform_pending_operations()
        ours: Any = self.connection
        listens = ours and self.blueprint.state == bootsteps.RUN
        if listens and not (ours.connected and ours._connection is self.listens_to):
            raise ConnectionResetError("the connection to the broker is gone")

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        """Return what takes each message. Celery's own dies of some that are malformed."""
        handle = super().create_task_handler(*args, **kwargs)
        connection: Any = self.connection
        self.listens_to = connection._connection
        if self.hub:
            # The end of the connection before has taken it away, and a stop needs it.
            set_event_loop(self.hub)

        def on_task_received(message: Any) -> None:
            try:
                handle(message)
            except STUMBLES as error:
                self.on_invalid_task(None, message, error)

        return on_task_received

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Park what this worker does not know: one that does sends it again (replay.py)."""
        self.park(message, DeadLetter.Reason.UNKNOWN, "No worker here knows this task.")
        signals.task_unknown.send(
            sender=self, message=message, exc=exc, name=str(exc), id=message.headers.get("id")
        )

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Park what is no task."""
        self.park(message, DeadLetter.Reason.MALFORMED, f"{type(exc).__name__}: {exc}")
        signals.task_rejected.send(sender=self, message=message, exc=exc)

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """Park what names no task."""
        self.on_invalid_task(body, message, ValueError("it names no task"))

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Park what cannot be decoded."""
        self.on_invalid_task(None, message, exc)

    def park(self, message: Any, reason: str, history: str) -> None:
        """Acknowledge a message once it is a row; where the database is away, give it back.

        Aside: whoever waits for a database must not keep a worker from its broker. The broker hands
        out no more messages than may be unacknowledged, and so there are no more threads than that.
        """
        Thread(target=self._park, args=(message, reason, history), daemon=True).start()

    def _park(self, message: Any, reason: str, history: str) -> None:
        settle: tuple[Any, ...] = (message.ack_log_error, logger, self.connection_errors)
        try:
            messages.park(message, reason, history)
        except Error as error:
            logger.warning("A message goes back to the broker: %s", error)
            # At once, it would come back at once.
            time.sleep(settings.PARKING_PAUSE)
            settle = (message.reject_log_error, logger, self.connection_errors, True)
        finally:
            connections.close_all()
        # In the thread that owns the channel.
        self.call_soon(*settle)
