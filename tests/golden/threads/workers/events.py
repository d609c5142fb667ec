"""Sends what monitors see of tasks in batches."""

# celery-types has these classes as they once were.
# mypy: disable-error-code="attr-defined, override, union-attr"

import atexit
import os
from functools import cached_property
from threading import Lock, Timer
from typing import Any

from celery import bootsteps
from celery.app import amqp
from celery.events import EventDispatcher
from celery.utils.log import get_logger
from celery.worker import heartbeat
from django.conf import settings
from kombu.common import ignore_errors

from workers import publishing

logger = get_logger(__name__)

# How late a monitor may see what happened. Seconds.
DELAY = 0.5


class BatchEvents(bootsteps.StartStopStep):
    """Publishes the events of many tasks at once.

    Celery publishes them with each turn of its loop, and under greenlets one by one, which costs the
    main process of a busy worker a third of its time.
    """

    requires = ("celery.worker.consumer.events:Events",)

    timer: Any = None

    def start(self, parent: Any) -> None:
        """Collect events until there are enough, or until it is time."""
        dispatcher = parent.event_dispatcher
        dispatcher.buffer_group = frozenset(["task"])
        dispatcher.on_send_buffered = None
        # Not until the broker is back: the loop of the worker, and its stop, would wait for it.
        heartbeat.Heart._send.__defaults__ = (False,)

        def turn() -> None:
            dispatcher.flush()
            ours = dispatcher.connection
            # On solo, which sends no heartbeats, nobody else would notice.
            if parent.hub and ours._connection and not ours.connected:
                raise ConnectionResetError("the connection for events is gone")

        self.timer = parent.timer.call_repeatedly(DELAY, turn)

    def stop(self, parent: Any) -> None:
        """Send what is left, where there still is a connection."""
        if self.timer:
            # A greenlet's is the first turn, long over; its entry begins the next ones.
            getattr(self.timer, "entry", self.timer).cancel()
        if parent.event_dispatcher:
            ignore_errors(parent, parent.event_dispatcher.flush)


class AMQP(amqp.AMQP):
    """How tasks are sent."""

    @cached_property
    def _event_dispatcher(self) -> "SentEvents":
        return SentEvents(app=self.app, enabled=False)


class SentEvents(EventDispatcher):
    """Publishes that tasks were sent, a moment later and aside.

    Whoever sends a task waits for its broker, but not for monitors as well. And where an event cannot
    be published, its task was sent all the same.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.waiting: list[dict[str, Any]] = []
        os.register_at_fork(after_in_child=self.begin_anew)
        atexit.register(self.publish_waiting)

    def begin_anew(self) -> None:
        """Leave what is waiting to the parent of this process."""
        self.mutex, self.waiting = Lock(), []

    def publish(self, name: str, fields: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        """Keep an event for the next batch."""
        with self.mutex:
            self.waiting.append(self._prepare_event(name, fields))
            first = len(self.waiting) == 1
        if first:
            later = Timer(DELAY, self.publish_waiting)
            later.daemon = True
            later.start()

    def publish_waiting(self) -> None:
        """Publish what has come together, or give it up."""
        with self.mutex:
            batch, self.waiting = self.waiting, []
        if not batch:
            return
        try:
            with (
                self.app.producer_pool.acquire(block=True) as producer,
                publishing.given_up(producer),
            ):
                producer.publish(
                    batch,
                    exchange=self.exchange.name,
                    routing_key="task.multi",
                    declare=[self.exchange],
                    serializer=self.serializer,
                    headers=self.headers,
                    delivery_mode=self.delivery_mode,
                    confirm_timeout=settings.PUBLISH_TIMEOUT,
                )
        except Exception as error:
            if isinstance(error, OSError):  # it is silent, or gone
                publishing.leave_alone()
            logger.warning("%d events for monitors are lost: %s", len(batch), error)
