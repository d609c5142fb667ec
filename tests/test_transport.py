"""Redis as a broker, through deaths of those that it hands messages to."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from redis import Redis
from redis.exceptions import RedisError

from tests.baked import BakedProject
from tests.probed import Probed, postgresql, probed
from tests.servers import real_redis

SILENCE = 4
# Another program of the project's, which dies between the question for a message and the answer.
DIES_WHILE_IT_IS_HANDED_ONE = """
import os, time
from config.celery import app

with app.connection_for_read() as connection:
    channel = connection.default_channel
    channel.basic_consume("jobs", no_ack=False, callback=print, consumer_tag="one")
    connection.transport.cycle.on_poll_start()
    while channel._size("jobs"):
        time.sleep(0.01)
    os._exit(0)
"""


@pytest.fixture
def project(
    request: Any,
    environment: Any,
    postgresql_url: str,
    redis_url: str,
    tmp_path: Path,
    worker_id: str,
) -> Iterator[Probed]:
    with postgresql(postgresql_url, f"transport_{worker_id}") as database:
        queues = f"jobs:{request.param}"
        made = probed(tmp_path, environment("5.2"), database.url, redis_url, queues=queues)
        silence(made.project)
        Redis.from_url(made.environment["CELERY_BROKER_URL"]).flushdb()
        yield made


def silence(project: BakedProject) -> None:
    """Have a silent worker's tasks handed out soon."""
    settings = project.path / "config/settings/broker.py"
    text = settings.read_text()
    assert "\nWORKER_SILENCE = 60\n" in text
    settings.write_text(text.replace("WORKER_SILENCE = 60", f"WORKER_SILENCE = {SILENCE}"))


def broker(project: Probed) -> Any:
    return Redis.from_url(project.environment["CELERY_BROKER_URL"])


def each(pool: str, *others: str) -> pytest.MarkDecorator:
    """Run a test on a pool, and on others in `make test-long`."""
    rest = [pytest.param(other, marks=pytest.mark.long) for other in others]
    return pytest.mark.parametrize("project", [pool, *rest], indirect=True)


@each("prefork:2")
def test_a_task_is_not_lost_with_the_worker_that_is_being_handed_it(project: Probed) -> None:
    project.touch(1)
    project.run("python", "-c", DIES_WHILE_IT_IS_HANDED_ONE)
    assert broker(project).hlen("unacked") == 1
    with project.working() as worker:
        project.wait_for(lambda: project.ledger.hlen("done") == 1, worker)
        project.wait_for(lambda: broker(project).hlen("unacked") == 0, worker)


@each("prefork:2", "gevent:2", "threads:2", "solo:1")
def test_what_a_killed_worker_had_is_done_by_another(project: Probed) -> None:
    with project.working() as worker:
        project.touch(1, pause=10)
        project.wait_for(lambda: project.ledger.hlen("started") == 1, worker)
        # Waiting for its time, which is longer than messages without a bell wait, and behind it.
        project.send("note", "late", countdown=5)
        project.send("note", "noted", times=3)
        # But for solo, which takes nothing in hand meanwhile.
        most = 1 if "solo" in (project.project.path / "config/queues.py").read_text() else 2
        project.wait_for(lambda: broker(project).hlen("unacked") >= most, worker)
        for process in [worker, *worker.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):  # children end with their parent
                process.send_signal(signal.SIGKILL)
        psutil.wait_procs([worker])
    with project.working() as worker:
        project.wait_for(lambda: len(project.notes("noted")) >= 3, worker)
        project.wait_for(lambda: project.notes("late"), worker)
        project.wait_for(lambda: project.ledger.hget("started", 0) == "2", worker)
    assert "Took over" in project.output()


@each("prefork:2", "gevent:2", "threads:2", "solo:1")
def test_who_fails_after_another_has_done_the_task_parks_nothing(project: Probed) -> None:
    with project.working() as worker:
        project.send("follow", "task", ["fail late", "end"], message_id="1")
        project.wait_for(lambda: project.notes("task before it fails"), worker)
        with frozen(worker):
            done_by_another(project)
        project.ledger.set("enough of task before it fails", 1)
        project.wait_for(lambda: len(project.notes("task before it fails")) == 2, worker)
    assert "waiting" not in project.run("python", "manage.py", "dead_letters", "list")


@each("prefork:2", "gevent:2", "threads:2", "solo:1")
def test_who_has_done_the_task_after_another_has_failed_takes_its_letter_back(
    project: Probed,
) -> None:
    with project.working() as worker:
        project.send("follow", "task", ["end late", "fail"], message_id="1")
        project.wait_for(lambda: project.notes("task before it ends"), worker)
        with frozen(worker):
            done_by_another(project)
            assert "waiting" in project.run("python", "manage.py", "dead_letters", "list")
        project.ledger.set("enough of task before it ends", 1)
        project.wait_for(
            lambda: "waiting" not in project.run("python", "manage.py", "dead_letters", "list"),
            worker,
        )


@pytest.mark.long
@each("prefork:2")
def test_whose_time_is_over_after_another_has_done_the_task_parks_nothing(project: Probed) -> None:
    with project.working() as worker:
        limits = {"soft_time_limit": 4, "time_limit": 5}
        project.send("follow", "task", ["stall", "end"], message_id="1", **limits)
        project.wait_for(lambda: project.notes("task"), worker)
        child = psutil.Process(int(project.notes("task")[0]))
        with frozen(worker):
            done_by_another(project)
        project.wait_for(lambda: not child.is_running(), worker)
        project.touch(1)
        project.wait_for(lambda: project.ledger.hlen("done"), worker)
    assert "waiting" not in project.run("python", "manage.py", "dead_letters", "list")


@contextmanager
def frozen(worker: psutil.Process) -> Iterator[None]:
    """Stop a worker and its children, and have them go on."""
    processes = [worker, *worker.children(recursive=True)]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in reversed(processes):
            process.resume()


def done_by_another(project: Probed) -> None:
    """Run a worker until it has done what another one had."""
    with project.working() as other:
        project.wait_for(lambda: len(project.notes("task")) == 2, other)
        project.wait_for(lambda: broker(project).hlen("unacked") == 0, other)


@pytest.mark.long
@each("solo:1", "prefork:2", "gevent:2", "threads:2")
def test_a_worker_that_is_busy_keeps_its_task(project: Probed) -> None:
    with project.working() as worker:
        project.touch(1, pause=4 * SILENCE)
        project.wait_for(lambda: project.ledger.hlen("done") == 1, worker)
        project.wait_for(lambda: broker(project).hlen("unacked") == 0, worker)
        assert project.ledger.hgetall("started") == {"0": "1"}
    assert "Took over" not in project.output()


@each("prefork:2")
def test_what_is_no_message_is_kept_and_holds_nobody_up(project: Probed) -> None:
    nonsense = [b"nonsense", b"\xff\xfe", b"[]", b'{"properties": {"delivery_tag": 1}}']
    # Lua reads hexadecimal numbers, and any byte as text.
    named = (
        b'{"properties": {"delivery_tag": "%d", "delivery_info": {}}, "headers": {}, "body": %s}'
    )
    nonsense += [named % (1, b"0x10"), named % (2, b'"\xff"')]
    nonsense += [
        b'{"properties": {"delivery_tag": "3", "body_encoding": "%s", "delivery_info": {}},'
        b' "headers": {}, "body": "abc"}' % encoding
        for encoding in (b"base64", b"rot13")
    ]
    broker(project).lpush("jobs", *nonsense)
    with project.working() as worker:
        project.touch(1)
        project.wait_for(lambda: project.ledger.hlen("done") == 1, worker)
        # They become dead letters, for a person to see.
        project.wait_for(lambda: not broker(project).llen("unacked:malformed"), worker)
    letters = project.run("python", "manage.py", "dead_letters", "list", "--reason", "malformed")
    assert letters.count("malformed") == len(nonsense)
    assert broker(project).hlen("unacked") == 0


@each("prefork:2")
def test_answers_to_questions_about_workers_leave_nothing_behind(project: Probed) -> None:
    with project.working():
        project.run("python", "-m", "celery", "-A", "config", "inspect", "--timeout=10", "ping")
        assert broker(project).hlen("unacked") == 0


def answers(project: Probed) -> bool:
    """Tell whether the broker does."""
    try:
        return bool(broker(project).ping())
    except RedisError:
        return False


@each("prefork:2", "threads:2", "gevent:2", "solo:1")
def test_a_redis_that_answers_late_costs_no_slot(
    project: Probed, redis_server: Path, tmp_path: Path
) -> None:
    # Of its own: the ledger must not fall silent.
    with real_redis(redis_server, tmp_path) as url:
        project.environment["CELERY_BROKER_URL"] = f"{url}/0"
        with project.working() as worker:
            project.touch(6, pause=1)
            project.wait_for(lambda: broker(project).hlen("unacked") > 0, worker)
            broker(project).client_pause(8_000)  # longer than anybody waits for an answer
            project.wait_for(lambda: answers(project), worker)
            project.wait_for(lambda: project.ledger.hlen("done") == 6, worker)
            project.wait_for(lambda: broker(project).hlen("unacked") == 0, worker)
            project.touch(6)
            project.wait_for(lambda: broker(project).llen("jobs") == 0, worker)
            project.wait_for(lambda: broker(project).hlen("unacked") == 0, worker)


@each("gevent:2", "prefork:2", "threads:2", "solo:1")
def test_a_worker_outlives_restarts_of_its_redis(
    project: Probed, redis_server: Path, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        url = stack.enter_context(real_redis(redis_server, tmp_path, "--appendonly", "yes"))
        project.environment["CELERY_BROKER_URL"] = f"{url}/0"
        worker = stack.enter_context(project.working())
        for _ in range(4):
            project.touch(6, pause=1)
            project.wait_for(lambda: broker(project).hlen("unacked") > 0, worker)
            broker(project).shutdown()
            port = int(url.rpartition(":")[2])
            options = ("--appendonly", "yes")
            stack.enter_context(real_redis(redis_server, tmp_path, *options, port=port))
            project.wait_for(lambda: project.ledger.hlen("done") == 6, worker)
            project.wait_for(lambda: not broker(project).hlen("unacked"), worker)
            project.ledger.delete("done")
        assert "Unrecoverable" not in project.output()


@each("prefork:2")
def test_a_child_ends_with_its_parent(project: Probed) -> None:
    with project.working() as worker:
        project.send("hang", "hung")
        project.wait_for(lambda: project.notes("hung"), worker)
        (note,) = project.notes("hung")
        child = psutil.Process(int(note.split()[0]))
        worker.kill()
        child.wait(timeout=10)
