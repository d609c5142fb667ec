"""Sends the tasks that are left in the outbox: the broker was away, or their sender was killed."""

from contextlib import suppress
from datetime import timedelta
from typing import Any

from celery import current_app
from celery.utils.log import get_logger
from django.db.models import QuerySet
from django.utils import timezone

from workers import outbox, publishing
from workers.models import OutboxMessage

logger = get_logger(__name__)

BATCH = 100  # rows
# One that the broker will not have is tried again after as long as it has waited so far, but at most
# so long. Seconds.
LATEST = 600


def sweep() -> None:
    """Send every row that is due, the oldest first.

    Raises what the broker's side raises where it is away; the rows stay.
    """
    with suppress(publishing.AwayError), current_app.connection_for_write() as connection:
        producer = current_app.amqp.Producer(connection, auto_declare=False)
        while rows := list(due()):
            for row in rows:
                if outbox.claim(row):
                    send(row, producer)


def due() -> QuerySet[OutboxMessage]:
    """Return the first rows that nobody has claimed."""
    return OutboxMessage.objects.filter(next_try_at__lte=timezone.now()).order_by(
        "next_try_at", "accepted_at"
    )[:BATCH]


def send(row: OutboxMessage, producer: Any) -> None:
    """Send a claimed row, and delete it. Raises what the broker's side raises where it is away."""
    try:
        outbox.send(row, producer=producer)
    except Exception as error:
        refused = isinstance(error, publishing.RefusedError)
        if isinstance(error, publishing.refusals()) and not refused:
            raise
        # It alone cannot be sent, such as one for a queue that is gone or full.
        logger.warning("%s stays in the outbox: %s", row, error)
        now = timezone.now()
        wait = min(max((now - row.accepted_at).total_seconds(), outbox.CLAIM), LATEST)
        ours = OutboxMessage.objects.filter(pk=row.pk, next_try_at=row.next_try_at)
        ours.update(next_try_at=now + timedelta(seconds=wait), failure=str(error))
    else:
        outbox.forget(row)
