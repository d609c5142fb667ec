"""Real workers on a real broker and database."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.tasks import remove_expired_sessions
from config.celery import app
from config.queues import WORKERS
from tests.conftest import wait_until
from workers.models import DeadLetter, Start

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")

NAME = remove_expired_sessions.name


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


class Unpickled:
    """Leaves a file behind where somebody unpickles it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_pickled_message_is_refused_and_the_next_task_is_done(
    workers: dict[str, Any], tmp_path: Path
) -> None:
    left_behind = tmp_path / "unpickled"
    Session.objects.create(session_key="old", expire_date=timezone.now() - timedelta(days=1))
    app.send_task(NAME, [Unpickled(left_behind)], serializer="pickle", ignore_result=True)
    remove_expired_sessions.delay()
    wait_until(lambda: not Session.objects.exists(), 30)
    assert not left_behind.exists()


def letters() -> list[DeadLetter]:
    return list(DeadLetter.objects.order_by("id"))


def test_what_fails_is_kept_with_all_it_takes_to_send_it_again(workers: dict[str, Any]) -> None:
    app.send_task(NAME, ["unexpected"], task_id="fails", ignore_result=True)
    (letter,) = wait_until(letters, 30)
    assert (letter.task, letter.task_id, letter.reason) == (NAME, "fails", "failed")
    assert "TypeError" in letter.history
    with pytest.raises(CommandError, match="arguments that its task does not take"):
        call_command("dead_letters", "replay", str(letter.pk))
    DeadLetter.objects.update(body=letter.body.replace('"unexpected"', ""))
    Session.objects.create(session_key="old", expire_date=timezone.now() - timedelta(days=1))
    Start.objects.create(task_id="fails", worker="another@host")
    call_command("dead_letters", "replay", str(letter.pk))
    wait_until(lambda: not Session.objects.exists(), 30)
    (letter,) = letters()
    assert letter.state == "sent"
    assert not Start.objects.exists()


def test_a_task_that_nobody_knows_is_kept_and_the_next_one_is_done(workers: dict[str, Any]) -> None:
    app.send_task("nobody.knows", task_id="unknown", ignore_result=True)
    app.send_task(NAME, serializer="pickle", task_id="pickled", ignore_result=True)
    app.send_task(NAME, ["unexpected"], task_id="fails", ignore_result=True)
    found = wait_until(lambda: len(letters()) == 3 and letters(), 30)
    reasons = {letter.task_id: letter.reason for letter in found}
    assert reasons == {"unknown": "unknown", "pickled": "malformed", "fails": "failed"}
