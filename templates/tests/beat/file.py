"""A real beat, with its schedule in a real file."""

import shelve
import shutil
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.utils import timezone

from config.beat import FileScheduler
from config.celery import app
from tests.conftest import START, wait_until
from tests.test_schedule import ENTRY, NAME, beat, take
from workers import relay
from workers.models import OutboxMessage

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")


@pytest.fixture
def schedule(tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A schedule file of which every run is overdue."""
    app.control.purge()
    file = tmp_path / "schedule"
    monkeypatch.setitem(environment, "CELERY_BEAT_SCHEDULE_FILENAME", str(file))
    scheduler = FileScheduler(app=app, schedule_filename=str(file))
    for entry in scheduler.schedule.values():
        entry.last_run_at = app.now() - timedelta(days=2)
    scheduler.close()
    return file


def last_run(file: Path) -> datetime:
    """Return what a schedule file says of the first entry."""
    with shelve.open(str(file), flag="r") as stored:
        found: datetime = stored["entries"][NAME].last_run_at
    return found


def has_run(file: Path, since: datetime) -> bool:
    """Tell whether a schedule file says that the first entry was sent."""
    try:
        return last_run(file) >= since
    except Exception:  # beat is just writing it
        return False


def test_what_was_missed_is_sent_once_though_beat_is_killed(
    environment: dict[str, str], schedule: Path
) -> None:
    start = app.now()
    with beat(environment) as process:
        messages = wait_until(take, START)
        wait_until(partial(has_run, schedule, start), START)
        process.kill()
    (message,) = (message for message in messages if message.headers["task"] == ENTRY["task"])
    after = datetime.fromisoformat(message.headers["expires"]) - start
    assert 0 <= after.total_seconds() - ENTRY["options"]["expires"] <= START
    assert last_run(schedule) >= start


def test_two_beats_send_a_run_once(environment: dict[str, str], schedule: Path) -> None:
    start = app.now()
    other = schedule.parent / "other"
    other.mkdir()
    for file in [file for file in schedule.parent.iterdir() if file.is_file()]:
        shutil.copy(file, other)
    for file in (schedule, other / schedule.name):
        with beat({**environment, "CELERY_BEAT_SCHEDULE_FILENAME": str(file)}):
            wait_until(partial(has_run, file, start), START)
    assert [message.headers["task"] for message in take()] == [ENTRY["task"]]


def test_a_run_is_sent_though_beat_is_killed_before_the_broker_has_it(
    environment: dict[str, str], schedule: Path
) -> None:
    port = urlsplit(environment["CELERY_BROKER_URL"]).port
    # Nobody listens there.
    nowhere = environment["CELERY_BROKER_URL"].replace(f":{port}/", ":1/")
    with beat({**environment, "CELERY_BROKER_URL": nowhere}) as process:
        wait_until(OutboxMessage.objects.exists, START)
        process.kill()
    assert take() == []
    OutboxMessage.objects.update(next_try_at=timezone.now())
    relay.sweep()
    assert [message.headers["task"] for message in take()] == [ENTRY["task"]]
    assert not OutboxMessage.objects.exists()


def test_a_damaged_file_does_not_keep_beat_from_starting(
    environment: dict[str, str], schedule: Path
) -> None:
    largest = max(schedule.parent.iterdir(), key=lambda file: file.stat().st_size)
    content = largest.read_bytes()
    third = len(content) // 3
    damaged = content[:third] + bytes(third) + content[2 * third :]
    largest.write_bytes(damaged)

    def is_new() -> bool:
        return largest.exists() and largest.read_bytes() != damaged

    with beat(environment) as process:
        wait_until(lambda: is_new() or process.poll() is not None, START)
        assert process.poll() is None
    assert last_run(schedule) > app.now() - timedelta(days=1)
