"""Tasks of the benchmarks that need no database."""

import os

from celery import shared_task
from redis import Redis


@shared_task(ignore_result=True)
def empty() -> None:
    """Do nothing."""


@shared_task(ignore_result=True)
def mark() -> None:
    """Show outside that a task has run, with a Redis client that is nobody's."""
    Redis.from_url(os.environ["BENCH_MARK_URL"]).set("mark", 1)
