"""Has a worker's own loop say that it is alive."""

# celery-types has these classes as they once were.
# mypy: disable-error-code="attr-defined, override"

import os
from typing import Any

from celery import bootsteps, signals

from workers import health


class Heartbeat(bootsteps.StartStopStep):
    """Beats from the timer of the worker: a loop that hangs does not turn it."""

    requires = ("celery.worker.components:Timer",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        self.node, _, _ = parent.hostname.partition("@")
        self.leaving = False
        super().__init__(parent, **kwargs)

    def include_if(self, parent: Any) -> bool:
        """Tell whether anybody wants to know."""
        return bool(os.environ.get(health.FOLDER))

    def start(self, parent: Any) -> None:
        """Beat from now on, until the worker is told to stop: a drain may take its time."""
        self.beat()
        parent.timer.call_repeatedly(health.EVERY, self.beat)
        signals.worker_shutting_down.connect(self.leave)

    def beat(self) -> None:
        """Say that the loop turns."""
        say = health.leave if self.leaving else health.beat
        say(self.node)

    def leave(self, **kwargs: Any) -> None:
        """Say that silence is all right."""
        self.leaving = True
        health.leave(self.node)
