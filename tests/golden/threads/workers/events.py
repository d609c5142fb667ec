"""Sends what monitors see of tasks in batches."""

from typing import Any

from celery import bootsteps
from kombu.common import ignore_errors

# How late a monitor may see what happened. Seconds.
DELAY = 0.5


class BatchEvents(bootsteps.StartStopStep):
    """Publishes the events of many tasks at once.

    Celery publishes them with each turn of its loop, and under greenlets one by one, which costs the
    main process of a busy worker a third of its time.
    """

    requires = ("celery.worker.consumer.events:Events",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        self.timer: Any = None
        super().__init__(parent, **kwargs)

    def start(self, parent: Any) -> None:
        """Collect events until there are enough, or until it is time."""
        dispatcher = parent.event_dispatcher
        dispatcher.buffer_group = frozenset(["task"])
        dispatcher.on_send_buffered = None
        self.timer = parent.timer.call_repeatedly(DELAY, dispatcher.flush)

    def stop(self, parent: Any) -> None:
        """Send what is left, where there still is a connection."""
        if self.timer:
            self.timer.cancel()
            self.timer = None
        if parent.event_dispatcher:
            ignore_errors(parent, parent.event_dispatcher.flush)
