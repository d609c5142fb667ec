"""Deletes what delivery no longer needs, a few rows at a time: each table has its bound."""

from datetime import datetime, timedelta
from typing import Any

from celery import current_app
from celery.utils.log import get_logger
from django.apps import apps
from django.conf import settings
from django.db import router, transaction
from django.db.models import QuerySet
from django.utils import timezone

from workers import dead_letters, outbox
from workers.models import DeadLetter, Effect, OutboxMessage, Start

logger = get_logger(__name__)

# Rows deleted at once: a lock that is held for milliseconds.
BATCH = 500


def enforce() -> None:
    """Delete every row that is older than config/settings/tasks.py keeps it."""
    days = settings.RETENTION_DAYS
    delete(Effect.objects.filter(happened_at__lt=ago(days["effects"])))
    done = Effect.objects.filter(key__startswith=dead_letters.DONE)
    delete(done.filter(happened_at__lt=ago(days["starts"])))
    delete(Start.objects.filter(started_at__lt=ago(days["starts"])))
    waiting = DeadLetter.objects.filter(state=DeadLetter.State.WAITING)
    delete(DeadLetter.objects.filter(settled_at__lt=ago(days["settled dead letters"])))
    if lost := delete(waiting.filter(parked_at__lt=ago(days["waiting dead letters"]))):
        logger.warning(
            "%d dead letters were deleted: nobody has settled them for %d days.",
            lost,
            days["waiting dead letters"],
        )
    if stuck := park(OutboxMessage.objects.filter(accepted_at__lt=ago(days["outbox"]))):
        logger.warning(
            "%d tasks could not be sent for %d days: they are dead letters now.",
            stuck,
            days["outbox"],
        )
    delete_results()


def ago(days: float) -> datetime:
    """Return the moment so many days before now."""
    return timezone.now() - timedelta(days=days)


def delete(rows: QuerySet[Any]) -> int:
    """Delete rows, and return how many they were."""
    deleted = 0
    while keys := list(rows.values_list("pk", flat=True)[:BATCH]):
        rows.model._default_manager.filter(pk__in=keys).delete()
        deleted += len(keys)
    return deleted


def park(rows: QuerySet[OutboxMessage]) -> int:
    """Make dead letters of tasks that nobody could send, and return how many they were."""
    parked = 0
    while batch := list(rows.exclude(next_try_at__range=outbox.claimed())[:BATCH]):
        for row in batch:
            with transaction.atomic(using=router.db_for_write(OutboxMessage)):
                # Another keeper may have claimed it meanwhile, to send it or to park it.
                ours = OutboxMessage.objects.filter(pk=row.pk, next_try_at=row.next_try_at)
                if ours.delete()[0]:
                    dead_letters.park(
                        DeadLetter.Reason.UNSENT,
                        row.failure,
                        task_id=row.task_id,
                        task=row.task,
                        body=row.body,
                    )
                    parked += 1
    return parked


def delete_results() -> None:
    """Delete the results that have expired; Redis does so by itself."""
    backend: Any = current_app.backend
    if apps.is_installed("django_celery_results") and backend.expires:
        expired = timezone.now() - timedelta(seconds=backend.expires)
        for name in ("TaskResult", "GroupResult"):
            model = apps.get_model("django_celery_results", name)
            delete(model._default_manager.filter(date_done__lt=expired))
    backend.cleanup()
