"""Whether a worker lives, as asked from outside, and what its stop leaves behind."""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from redis import Redis

from tests.baked import wait_until
from tests.probed import Probed, probed
from tests.servers import real_redis

OTHERS = [
    pytest.param(pool, marks=pytest.mark.long) for pool in ("gevent", "threads", "eventlet", "solo")
]
POOLS = ["prefork", *OTHERS]
BEAT = 5  # seconds between two
STALE = 2 * BEAT + 2
STOPS = 4  # each meets a task that a child has and has not confirmed about every other time


@pytest.fixture
def idle(
    tmp_path: Path, environment: Any, redis_url: str, request: pytest.FixtureRequest
) -> Probed:
    """A project with one worker, of the pool that the test names, and two tasks at once."""
    pool = getattr(request, "param", "prefork")
    size = 1 if pool == "solo" else 2
    return watched(tmp_path, environment("5.2"), redis_url, f"jobs:{pool}:{size}")


def watched(folder: Path, interpreter: Path, redis: str, queues: str, **answers: str) -> Probed:
    """Render a project whose workers write that they are alive."""
    url = f"sqlite:///{folder}/db.sqlite3"
    project = probed(folder, interpreter, url, redis, database="sqlite", queues=queues, **answers)
    Redis.from_url(f"{redis}/0").flushdb()
    project.environment["HEARTBEAT_FOLDER"] = str(folder / "beats")
    return project


def health(project: Probed, *options: str, name: str = "jobs") -> tuple[int, str]:
    """Ask whether a worker lives; return the exit status, and what is wrong."""
    result = subprocess.run(
        [str(project.project.path / ".venv/bin/python"), "-m", "workers.health", name, *options],
        cwd=project.project.path,
        env=project.project.environment(**project.environment),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in result.stderr
    return result.returncode, (result.stdout + result.stderr).strip()


@pytest.mark.parametrize("idle", POOLS, indirect=True)
def test_a_busy_worker_lives_and_a_frozen_one_is_killed(idle: Probed) -> None:
    assert health(idle) == (1, "jobs is not up")
    with idle.working() as process:
        assert health(idle) == (0, "")
        idle.touch(1, pause=STALE + BEAT)
        wait_until(lambda: idle.ledger.hlen("started") == 1, 30)
        while not idle.ledger.hlen("done"):
            # On solo a task silences its worker, which may be silent for longer.
            assert health(idle) == (0, "")
            time.sleep(1)
        assert health(idle, "--stale", str(STALE)) == (0, "")
        process.send_signal(signal.SIGSTOP)
        wait_until(lambda: health(idle, "--stale", str(STALE))[0], 60)
        assert process.status() == psutil.STATUS_STOPPED
        status, told = health(idle, "--stale", str(STALE), "--kill")
        assert status == 1
        assert f"jobs, PID {process.pid}, has been silent for" in told
        assert process.wait(timeout=10) == -signal.SIGKILL


@pytest.mark.long
def test_nobody_else_is_killed_for_one_that_is_gone(idle: Probed) -> None:
    beats = Path(idle.environment["HEARTBEAT_FOLDER"])
    beats.mkdir()
    with psutil.Popen(["sleep", "60"]) as other:
        (beats / "jobs").write_text(f"{other.pid} {time.monotonic() - 1000}")
        assert health(idle, "--kill", "--stale", "1") == (1, "jobs is not up")
        assert other.is_running()
        assert other.status() != psutil.STATUS_ZOMBIE
        other.kill()
        other.wait()
    assert health(idle, "--kill", "--stale", "1") == (1, "jobs is not up")


@pytest.mark.long
def test_a_worker_that_hangs_while_it_starts_is_found(idle: Probed) -> None:
    settings = idle.project.path / "config" / "settings" / "__init__.py"
    settings.write_text(f"import time\ntime.sleep(600)\n{settings.read_text()}")
    process = subprocess.Popen(
        [".venv/bin/python", "-m", "workers.run", "jobs"],
        cwd=idle.project.path,
        env=idle.project.environment(**idle.environment),
    )
    try:
        wait_until(lambda: health(idle) == (0, ""), 10)
        wait_until(lambda: health(idle, "--stale", "1", "--kill")[0], 30)
        assert process.wait(timeout=10) == -signal.SIGKILL
    finally:
        process.kill()


def test_a_worker_that_waits_for_its_tasks_is_left_alone(idle: Probed) -> None:
    with idle.working() as process:
        idle.touch(1, pause=8)
        wait_until(lambda: idle.ledger.hlen("started") == 1, 30)
        process.terminate()
        wait_until(lambda: health(idle)[0], 5)
        assert health(idle, "--stale", "0", "--kill") == (1, "jobs is not up")
        assert process.wait(timeout=30) == 0
        assert idle.ledger.hlen("done") == 1


def test_a_stop_gives_back_a_task_that_does_not_end(idle: Probed) -> None:
    limits = idle.project.path / "config" / "limits.py"
    limits.write_text(limits.read_text().replace("DRAIN = TASK + 15", "DRAIN = 3"))
    broker = Redis.from_url(idle.environment["CELERY_BROKER_URL"])
    with idle.working() as process:
        idle.send("hang", "hung")
        wait_until(lambda: idle.notes("hung"), 30)
        assert (broker.llen("jobs"), broker.hlen("unacked")) == (0, 1)
        process.terminate()
        assert process.wait(timeout=30) == 0
        assert (broker.llen("jobs"), broker.hlen("unacked")) == (1, 0)


def done_over(project: Probed, number: int) -> bool:
    """Tell whether more tasks than that are done."""
    return bool(project.ledger.hlen("done") > number)


# Bytes: what a pipe holds, and what it does not.
@pytest.mark.parametrize("size", [pytest.param(0, marks=pytest.mark.long), 200_000])
def test_a_stop_in_full_swing_waits_for_what_children_have_been_given(
    idle: Probed, size: int
) -> None:
    idle.touch(600 if size else 2_000, headers={"filler": "x" * size})
    for _ in range(STOPS):
        before = idle.ledger.hlen("done")
        with idle.working() as process:
            idle.wait_for(partial(done_over, idle, before + 20), process)
            process.terminate()
            # A child that nobody hears waits for half a minute.
            assert process.wait(timeout=20) == 0
        assert idle.ledger.hgetall("started") == idle.ledger.hgetall("done")
    assert set(idle.ledger.hvals("started")) == {"1"}


@pytest.mark.long
@pytest.mark.parametrize("idle", POOLS, indirect=True)
def test_a_worker_without_its_broker_for_two_minutes_is_left_alone(
    tmp_path: Path, environment: Any, redis_server: Path, idle: Probed
) -> None:
    with ExitStack() as redis:
        url = redis.enter_context(real_redis(redis_server, tmp_path))
        idle.environment["CELERY_BROKER_URL"] = f"{url}/0"
        with idle.working() as process:
            redis.close()
            until = time.monotonic() + 120
            while time.monotonic() < until:
                assert health(idle, "--kill") == (0, "")
                time.sleep(10)
            port = int(url.rpartition(":")[2])
            redis.enter_context(real_redis(redis_server, tmp_path, port=port))
            idle.touch(1)
            wait_until(lambda: idle.ledger.hlen("done") == 1, 60)
            assert health(idle, "--kill") == (0, "")
            assert process.is_running()


@pytest.mark.long
@pytest.mark.parametrize("scheduler", ["database", "file"])
def test_a_frozen_beat_is_found(
    tmp_path: Path, environment: Any, redis_url: str, scheduler: str
) -> None:
    project = watched(tmp_path, environment("5.2"), redis_url, "jobs", beat_scheduler=scheduler)
    # What another one left behind is no sign of life.
    beats = Path(project.environment["HEARTBEAT_FOLDER"])
    beats.mkdir()
    (beats / "beat").write_text(f"1 {time.monotonic() - 1000}")
    with beating(project) as process:
        process.send_signal(signal.SIGSTOP)
        wait_until(lambda: health(project, "--stale", "1", "--kill", name="beat")[0], 60)
        assert process.wait(timeout=10) == -signal.SIGKILL


@pytest.mark.parametrize("idle", POOLS, indirect=True)
def test_a_worker_ends_well_however_often_it_is_told_to(idle: Probed) -> None:
    with idle.working() as process:
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            process.send_signal(signal.SIGTERM)
            time.sleep(0.01)
        assert process.wait(timeout=10) == 0


@pytest.mark.parametrize("scheduler", ["database", pytest.param("file", marks=pytest.mark.long)])
def test_beat_stops_however_often_it_is_told_to(
    tmp_path: Path, environment: Any, redis_url: str, scheduler: str
) -> None:
    project = watched(tmp_path, environment("5.2"), redis_url, "jobs", beat_scheduler=scheduler)
    with beating(project) as process:
        # As where supervisord and beat are told at the same time, and supervisord tells beat again.
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0


@contextmanager
def beating(project: Probed) -> Iterator[psutil.Popen]:
    """Run a beat, from when it is seen to be alive."""
    command = [".venv/bin/python", "-m", "celery", "-A", "config", "beat", "--pidfile="]
    settings = project.project.environment(**project.environment)
    process = psutil.Popen(command, cwd=project.project.path, env=settings)
    try:
        wait_until(lambda: health(project, "--stale", "60", name="beat") == (0, ""), 60)
        yield process
    finally:
        if process.is_running():
            process.kill()
            process.wait()


def test_asking_loads_neither_django_nor_celery(idle: Probed) -> None:
    loaded = "import sys, workers.health; print({'celery', 'django', 'kombu'} & set(sys.modules))"
    assert idle.run("python", "-c", loaded).strip() == "set()"


def test_nobody_asks_where_nobody_beats(idle: Probed) -> None:
    del idle.environment["HEARTBEAT_FOLDER"]
    status, told = health(idle)
    assert status == 2
    assert "HEARTBEAT_FOLDER is not set" in told
