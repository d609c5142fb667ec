"""Beat's scheduler, on a file that says when each periodic task was sent last."""

import logging
import shelve
from pathlib import Path
from typing import Any

from celery.beat import PersistentScheduler

from workers import health
from workers.periodic import SendsOnce

logger = logging.getLogger(__name__)


class FileScheduler(SendsOnce, PersistentScheduler):
    """Celery's scheduler, which by itself would die of some damage to its file, at every start."""

    schedule_filename: str

    def setup_schedule(self) -> None:
        """Read the schedule, after a damaged file was removed."""
        health.beat("beat")  # one that hangs while it starts is known too
        try:
            with shelve.open(self.schedule_filename) as file:  # noqa: S301  # our own
                dict(file)  # reads every entry
        except Exception as error:
            logger.error("Starting anew: %s cannot be read: %r", self.schedule_filename, error)
            for suffix in self.known_suffixes:
                Path(self.schedule_filename + suffix).unlink(missing_ok=True)
        super().setup_schedule()

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due, and say that beat is alive (`python -m workers.health beat`)."""
        health.beat("beat")
        return float(super().tick(*args, **kwargs))
