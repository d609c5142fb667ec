"""Beat's scheduler: config/schedule.py is what runs, beside what somebody added in the admin."""

from typing import Any

from django.db.models import Q
from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler

from workers import health
from workers.periodic import SendsOnce

# What the admin shows of a declared task, and how its row is known once it is declared no longer.
DECLARED = "Declared in config/schedule.py: beat undoes every change here but `enabled`."


class DeclaredScheduler(SendsOnce, DatabaseScheduler):  # type: ignore[misc]  # it comes without types
    """django-celery-beat's scheduler, held to the declaration."""

    def setup_schedule(self) -> None:
        """Make the rows what is declared; by itself it would go on sending what was removed."""
        health.beat("beat")  # one that hangs while it starts is known too
        declared = self.app.conf.beat_schedule
        gone = Q(description=DECLARED) | Q(name="celery.backend_cleanup")  # keepers do that now
        PeriodicTask.objects.filter(gone).exclude(name__in=declared).delete()
        self.update_from_dict({name: as_row(entry) for name, entry in declared.items()})

    def enabled_models_qs(self) -> Any:
        """Return every enabled row; by itself it would not see a run that was missed hours ago."""
        return PeriodicTask.objects.enabled()

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due, and say that beat is alive (`python -m workers.health beat`)."""
        health.beat("beat")
        return float(super().tick(*args, **kwargs))


def as_row(entry: dict[str, Any]) -> dict[str, Any]:
    """Return an entry as it fits a row, which would lose `expires` under that name."""
    options = entry.get("options") or {}
    options = {**options, "expire_seconds": options.get("expires")}
    # What only the admin can set, and would stop the task.
    unset = {"one_off": False, "start_time": None, "expires": None}
    return {**entry, **unset, "options": options, "description": DECLARED}
