"""Tasks of the benchmarks that query the database, for the variants with Django."""

import time

from celery import shared_task
from django.contrib.sessions.models import Session


@shared_task(ignore_result=True)
def select() -> None:
    """Query once."""
    Session.objects.filter(session_key="none").exists()


@shared_task(ignore_result=True)
def wait() -> None:
    """Query, wait for 50 ms as for somebody else's server, and query again."""
    Session.objects.filter(session_key="none").exists()
    time.sleep(0.05)
    Session.objects.filter(session_key="none").exists()
