"""Sends each run of a periodic task once, though two beats are up or one is killed over it."""

# celery-types has these classes as they once were.
# mypy: disable-error-code="assignment, attr-defined, override"

import signal
from datetime import UTC, datetime, timedelta
from typing import Any

from celery import platforms
from celery.beat import Scheduler, _evaluate_entry_args, _evaluate_entry_kwargs
from celery.schedules import crontab
from celery.utils.log import get_logger
from django.db import Error, transaction

from workers import connections, outbox
from workers.once import first_time

logger = get_logger(__name__)

# As long ago as the last 29th of February may be.
FURTHEST = timedelta(days=8 * 366)
NAME = 200  # characters of an entry's name that a key has room for


class SendsOnce(Scheduler):
    """A scheduler that claims a run and puts it into the outbox in one transaction."""

    # By itself beat would wait here until its broker is back, and be taken for dead.
    producer = None
    #: When the run that is being sent was found to be due.
    reserved: datetime | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not kwargs.get("lazy"):
            # Celery's own handlers save the schedule there and then, whatever they interrupt.
            platforms.signals.update(SIGTERM=leave, SIGINT=leave)
        super().__init__(*args, **kwargs)

    def install_default_entries(self, data: Any) -> None:
        """Add none: what it would add deletes results, as keepers do (workers/retention.py)."""

    def reserve(self, entry: Any) -> Any:
        """Have the next run of an entry be due in its turn."""
        following = super().reserve(entry)
        self.reserved = following.last_run_at
        return following

    def apply_async(
        self, entry: Any, producer: Any = None, advance: bool = True, **kwargs: Any
    ) -> Any:
        """Send a run, unless another beat has."""
        entry = self.reserve(entry) if advance else entry
        run = slot(entry, self.reserved)
        connections.settle()
        try:
            with transaction.atomic(using=outbox.database()):
                if first_time(f"beat:{run}:{entry.name[:NAME]}"):
                    return self._accept(entry)
            logger.info(
                "%s has been sent by another beat, or before this one was killed.", entry.name
            )
            return None
        except Error as away:
            # Rather twice than not at all.
            logger.warning("%s is sent although nobody can tell if it was: %s", entry.name, away)
            return super().apply_async(entry, advance=False, **kwargs)
        finally:
            self._tasks_since_sync += 1
            if self.should_sync():
                self._do_sync()

    def _accept(self, entry: Any) -> Any:
        args, kwargs = _evaluate_entry_args(entry.args), _evaluate_entry_kwargs(entry.kwargs)
        options = {**entry.options}
        options["headers"] = {**options.get("headers", {}), "celery_beat_task": True}
        if task := self.app.tasks.get(entry.task):
            return task.apply_async_on_commit(args, kwargs, **options)
        return outbox.accept(entry.task, outbox.message(entry.task, args, kwargs, options))


def leave(*args: Any) -> None:
    """Leave beat's loop, which saves the schedule on its way out; nobody may interrupt that."""
    platforms.signals.ignore(signal.SIGTERM, signal.SIGINT)
    raise SystemExit


def slot(entry: Any, now: datetime | None = None) -> str:
    """Return which run of an entry is due: the same whichever beat asks, and however late.

    now: when it was found to be due. Two runs of one beat are never closer than their interval.
    """
    now = (now or datetime.now(UTC)).astimezone(UTC)
    schedule = entry.schedule
    if isinstance(schedule, crontab):
        due = latest(schedule, now)
        # Celery has it due at a minute that the clocks have skipped.
        if due is None or (entry.last_run_at and due <= entry.last_run_at):
            due = now
        return f"{due:%Y-%m-%dT%H:%MZ}"
    if every := getattr(schedule, "run_every", None):
        return f"{now.timestamp() // every.total_seconds():.0f}"
    return str(getattr(schedule, "clocked_time", now.date()))


def latest(schedule: Any, now: datetime) -> datetime | None:
    """Return the last minute that a crontab names, in UTC, or None where there was none for years."""
    due = now.astimezone(UTC).replace(second=0, microsecond=0)
    while due > now - FURTHEST:
        local = due.astimezone(schedule.tz)
        if not (
            local.month in schedule.month_of_year
            and local.day in schedule.day_of_month
            and local.isoweekday() % 7 in schedule.day_of_week
            and local.hour in schedule.hour
        ):
            due -= timedelta(minutes=local.minute + 1)
        elif local.minute in schedule.minute:
            return due
        else:
            due -= timedelta(minutes=1)
    return None
