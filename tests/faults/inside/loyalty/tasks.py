"""The one task."""

from celery import shared_task

from loyalty import services


@shared_task
def book_points(grant_id: str) -> None:
    """Book the points of a grant."""
    services.book(grant_id)
