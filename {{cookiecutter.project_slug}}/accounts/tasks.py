"""The services of this app that run in the background: thin, typed, safe to run twice."""

from celery import shared_task

from accounts import services


# Nobody waits for its result, so that sending it needs no result backend.
@shared_task(ignore_result=True)
def remove_expired_sessions() -> None:
    """Remove the sessions that have expired."""
    services.remove_expired_sessions()
