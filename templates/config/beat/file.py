"""Beat's scheduler, on a file that says when each periodic task was sent last."""

import logging
import shelve
from pathlib import Path

from celery.beat import PersistentScheduler

logger = logging.getLogger(__name__)


class FileScheduler(PersistentScheduler):
    """Celery's scheduler, which by itself would die of some damage to its file, at every start."""

    schedule_filename: str

    def setup_schedule(self) -> None:
        """Read the schedule, after a damaged file was removed."""
        try:
            with shelve.open(self.schedule_filename) as file:  # noqa: S301  # our own
                dict(file)  # reads every entry
        except Exception as error:
            logger.error("Starting anew: %s cannot be read: %r", self.schedule_filename, error)
            for suffix in self.known_suffixes:
                Path(self.schedule_filename + suffix).unlink(missing_ok=True)
        super().setup_schedule()
