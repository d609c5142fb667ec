"""A real beat, with its schedule in the real database."""

from collections import Counter
from datetime import datetime, timedelta

import pytest
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from config.beat import DeclaredScheduler
from config.celery import app
from tests.conftest import START, wait_until
from tests.test_schedule import ENTRY, NAME, beat, take

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")


def add(name: str) -> PeriodicTask:
    """Add a daily task as somebody does in the admin, due twelve hours from now."""
    crontab, _ = CrontabSchedule.objects.get_or_create(
        hour=(timezone.now().hour + 12) % 24, minute=0
    )
    return PeriodicTask.objects.create(name=name, task=ENTRY["task"], crontab=crontab)


def are_sent(since: datetime) -> bool:
    """Tell whether every row says that it was sent."""
    return not PeriodicTask.objects.exclude(last_run_at__gte=since).exists()


def test_what_was_missed_is_sent_once_though_beat_is_killed(environment: dict[str, str]) -> None:
    app.control.purge()
    DeclaredScheduler(app=app)
    add("by hand")
    expected = Counter(PeriodicTask.objects.values_list("task", flat=True))
    start = timezone.now()
    PeriodicTask.objects.update(last_run_at=start - timedelta(days=2))
    with beat(environment) as process:
        wait_until(lambda: are_sent(start), START)
        process.kill()
    messages = take()
    assert Counter(message.headers["task"] for message in messages) == expected

    add("later")
    PeriodicTask.objects.filter(name="later").update(last_run_at=start - timedelta(days=2))
    with beat(environment):
        wait_until(lambda: are_sent(start), START)
    assert [message.headers["periodic_task_name"] for message in take()] == ["later"]


def test_two_beats_send_a_run_once() -> None:
    app.control.purge()
    beats = [DeclaredScheduler(app=app), DeclaredScheduler(app=app)]
    add("by hand")
    PeriodicTask.objects.update(last_run_at=timezone.now() - timedelta(days=2))
    # Each reads what is due before one of them has sent it.
    due = [
        [entry for entry in each.all_as_schedule().values() if entry.is_due()[0]] for each in beats
    ]
    for each, entries in zip(beats, due, strict=True):
        assert {entry.name for entry in entries} >= {NAME, "by hand"}
        for entry in entries:
            each.apply_entry(entry)
    names = [message.headers["periodic_task_name"] for message in take()]
    assert sorted(names) == sorted(entry.name for entry in due[0])


def test_nothing_is_sent_for_what_keepers_do() -> None:
    add("celery.backend_cleanup")
    assert "celery.backend_cleanup" not in DeclaredScheduler(app=app).schedule


def test_what_is_sent_expires_as_declared(environment: dict[str, str]) -> None:
    app.control.purge()
    DeclaredScheduler(app=app)
    start = timezone.now()
    PeriodicTask.objects.filter(name=NAME).update(last_run_at=start - timedelta(days=2))
    with beat(environment):
        (message,) = wait_until(take, START)
    after = datetime.fromisoformat(message.headers["expires"]) - start
    assert 0 <= after.total_seconds() - ENTRY["options"]["expires"] <= START


def test_beat_restores_what_is_declared_and_leaves_the_rest_alone() -> None:
    DeclaredScheduler(app=app)
    add("by hand")
    never = timezone.now() + timedelta(days=365)
    PeriodicTask.objects.update(task="changed", enabled=False, one_off=True, start_time=never)
    PeriodicTask.objects.update(expires=never, expire_seconds=None)
    DeclaredScheduler(app=app)
    rows = {row.name: row for row in PeriodicTask.objects.all()}
    ours, theirs = rows[NAME], rows["by hand"]
    assert (ours.task, ours.enabled) == (ENTRY["task"], False)
    assert (ours.one_off, ours.start_time, ours.expires) == (False, None, None)
    assert ours.expire_seconds == ENTRY["options"]["expires"]
    assert (theirs.task, theirs.one_off, theirs.start_time) == ("changed", True, never)


def test_what_is_declared_no_longer_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    DeclaredScheduler(app=app)
    add("by hand")
    monkeypatch.setitem(app.conf, "beat_schedule", {})
    assert NAME not in DeclaredScheduler(app=app).schedule
    names = set(PeriodicTask.objects.values_list("name", flat=True))
    assert NAME not in names
    assert "by hand" in names
