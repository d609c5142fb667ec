"""Old and new code at once, as docs/rolling-deploys.md has it."""

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from tests.probed import Probed, postgresql, probed

TASKS = 20
ADDED = '''

@shared_task(ignore_result=True)
def added(name: str) -> None:
    """Do what the old code did not know."""
    note(name)
'''
RENAMED = '''

@shared_task(ignore_result=True)
def write_down(name: str) -> None:
    """Write down the process."""
    _ledger.rpush(name, f"{os.getpid()} new")


@shared_task(name="probe.tasks.note", ignore_result=True)
def note_by_its_old_name(name: str) -> None:
    """For messages that were sent before the deployment; goes with the next one."""
    write_down(name)
'''

SENDS_NOTES = f"""
import django
django.setup()
from probe.tasks import note
for _ in range({TASKS}):
    note.delay("{{name}}")
"""


@pytest.fixture
def old(
    environment: Any, postgresql_url: str, redis_url: str, tmp_path: Path, worker_id: str
) -> Iterator[Probed]:
    """The project as it was deployed last."""
    with postgresql(postgresql_url, f"rolling_{worker_id}") as database:
        made = probed(
            tmp_path / "old",
            environment("5.2"),
            database.url,
            redis_url,
            queues="jobs:prefork:2",
        )
        Redis.from_url(made.environment["CELERY_BROKER_URL"]).flushdb()
        yield made


def changed(old: Probed, file: str, change: Callable[[str], str]) -> Probed:
    """Return a second copy of a project, on the same servers, with a file changed."""
    folder = old.project.path.parents[1] / "new"
    shutil.copytree(old.project.path, folder / "shop", symlinks=True)
    new = dataclasses.replace(
        old,
        project=dataclasses.replace(old.project, path=folder / "shop"),
        log=folder / "worker.log",
    )
    text = (new.project.path / file).read_text()
    assert change(text) != text
    (new.project.path / file).write_text(change(text))
    return new


def test_a_task_that_an_old_worker_does_not_know_is_done_by_a_new_one(old: Probed) -> None:
    new = changed(old, "probe/tasks.py", lambda text: text + ADDED)
    broker = Redis.from_url(old.environment["CELERY_BROKER_URL"])
    with ExitStack() as rest:
        with old.working() as worker:
            old.send("added", "added", times=TASKS)
            # Each of them is put aside by the one that knows no better.
            old.wait_for(lambda: not broker.llen("jobs") and not broker.hlen("unacked"), worker)
            worker = rest.enter_context(new.working())
        new.wait_for(lambda: len(new.notes("added")) == TASKS, worker, 150)


def test_a_renamed_task_is_found_by_its_old_name(old: Probed) -> None:
    new = changed(
        old,
        "probe/tasks.py",
        lambda text: text.replace("def note(", "def noted(") + RENAMED,
    )
    old.send("note", "renamed", times=TASKS)
    with new.working() as worker:
        new.send("write_down", "renamed", times=TASKS)
        new.wait_for(lambda: len(new.notes("renamed")) == 2 * TASKS, worker)
    assert all(note.endswith(" new") for note in new.notes("renamed"))


def test_an_argument_with_a_default_may_be_missing_from_an_old_message(old: Probed) -> None:
    new = changed(
        old,
        "probe/tasks.py",
        lambda text: text.replace("def note(name: str)", 'def note(name: str, more: str = "")'),
    )
    old.send("note", "short", times=TASKS)
    with new.working() as worker:
        new.send("note", "short", "more", times=TASKS)
        new.wait_for(lambda: len(new.notes("short")) == 2 * TASKS, worker)


def test_a_queue_that_is_moved_is_emptied_by_the_worker_of_the_new_one(old: Probed) -> None:
    new = changed(
        old,
        "config/queues.py",
        lambda text: text.replace('Worker("jobs",', 'Worker("later", queues=("later", "jobs"),'),
    )
    with ExitStack() as both:
        old.send("note", "moved", times=TASKS)
        worker = both.enter_context(new.working("later"))
        # Senders of the old code are still about.
        old.send("note", "moved", times=TASKS)
        new.run("python", "-c", SENDS_NOTES.format(name="moved"))
        new.wait_for(lambda: len(new.notes("moved")) == 3 * TASKS, worker)
    broker = Redis.from_url(new.environment["CELERY_BROKER_URL"])
    assert (broker.llen("jobs"), broker.llen("later"), broker.hlen("unacked")) == (0, 0, 0)


def test_a_task_that_moves_to_another_queue_is_still_taken_from_the_old_one(old: Probed) -> None:
    new = changed(
        old,
        "config/queues.py",
        lambda text: text.replace("),\n]", '),\n    Worker("later"),\n]').replace(
            "ROUTES: dict[str, str] = {}", 'ROUTES = {"probe.tasks.note": "later"}'
        ),
    )
    log = new.log.with_name("later.log")
    with ExitStack() as both:
        old.send("note", "rerouted", times=TASKS)
        both.enter_context(dataclasses.replace(new, log=log).working("later"))
        new.run("python", "-c", SENDS_NOTES.format(name="rerouted"))
        worker = both.enter_context(new.working("jobs"))
        new.wait_for(lambda: len(new.notes("rerouted")) == 2 * TASKS, worker)
    assert log.read_text().count(" succeeded in ") == TASKS
    assert new.output().count(" succeeded in ") == TASKS


@pytest.mark.long
def test_a_worker_that_is_told_to_stop_finishes_what_it_runs_and_gives_back_the_rest(
    old: Probed,
) -> None:
    broker = Redis.from_url(old.environment["CELERY_BROKER_URL"])
    with old.working() as worker:
        old.touch(TASKS, pause=1)
        old.wait_for(lambda: old.ledger.hlen("started"), worker)
        worker.terminate()
        assert worker.wait(timeout=30) == 0
    done = old.ledger.hlen("done")
    assert 0 < done < TASKS
    assert (broker.llen("jobs"), broker.hlen("unacked")) == (TASKS - done, 0)
    with old.working() as worker:
        old.wait_for(lambda: old.ledger.hlen("done") == TASKS, worker)
    assert set(old.ledger.hvals("started")) == {"1"}
