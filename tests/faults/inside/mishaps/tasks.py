"""Tasks that a second app might have as well."""

import os

from celery import shared_task

from loyalty import services
from mishaps.ledger import note


@shared_task
def book_with_text(grant_id: str, text: str) -> None:
    """Book the points of a grant; the text makes the message large."""
    services.book(grant_id)


@shared_task
def member(grant_id: str, number: int) -> int:
    """Be one of a chord."""
    from mishaps.moments import MISHAPS, claim

    if claim("die-in-member"):
        note("mishaps", "die", grant_id, os.getpid())
        MISHAPS["die"]()
    return number


@shared_task
def finish(numbers: list[int], grant_id: str) -> None:
    """End a chord: book the points of its grant."""
    services.book(grant_id)


@shared_task
def tick(moment: str = "") -> None:
    """Note that a periodic task ran."""
    note("ticks", "tick")
