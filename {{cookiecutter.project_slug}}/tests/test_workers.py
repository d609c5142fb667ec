"""Real workers on a real broker and database."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone

from accounts.tasks import remove_expired_sessions
from config.queues import WORKERS
from tests.conftest import wait_until

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")


def test_the_workers_are_the_declared_ones(workers: dict[str, Any]) -> None:
    for worker in WORKERS:
        (pool,) = (s["pool"] for node, s in workers.items() if node.startswith(f"{worker.name}@"))
        low, high = (
            worker.concurrency
            if isinstance(worker.concurrency, tuple)
            else (worker.concurrency, worker.concurrency)
        )
        assert low <= pool["max-concurrency"] <= high
        module = {"threads": "thread"}.get(worker.pool, worker.pool)
        assert pool["implementation"] == f"celery.concurrency.{module}:TaskPool"


def test_a_task_runs_in_a_worker(workers: dict[str, Any]) -> None:
    now = timezone.now()
    for key, expires in {"old": now - timedelta(days=1), "new": now + timedelta(days=1)}.items():
        Session.objects.create(session_key=key, expire_date=expires)
    remove_expired_sessions.delay()
    wait_until(lambda: Session.objects.count() == 1, 30)
    assert Session.objects.get().session_key == "new"
