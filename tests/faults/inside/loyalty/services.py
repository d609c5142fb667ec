"""What can be done with points."""

from django.db import transaction

from loyalty.models import Entry, Grant
from workers.once import first_time


def book(grant_id: str) -> None:
    """Book the points of a grant, once."""
    grant = Grant.objects.get(pk=grant_id)
    with transaction.atomic():
        if first_time(f"points:{grant_id}"):
            Entry.objects.create(grant_id=grant.id, points=grant.points)
