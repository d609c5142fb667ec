"""What can be done about accounts and sessions."""

from django.contrib.sessions.models import Session
from django.utils import timezone


def remove_expired_sessions() -> None:
    """Remove the sessions that have expired, which Django leaves behind."""
    Session.objects.filter(expire_date__lt=timezone.now()).delete()
