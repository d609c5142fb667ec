"""Tasks that kill their process, on real brokers and under each pool: started a few times, then parked."""

import json
import signal
import subprocess
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from redis import Redis

from tests.baked import OPTIONS, wait_until
from tests.probed import PostgreSQL, Probed, postgresql, probed

SIZES = {"prefork": 2, "gevent": 20, "threads": 4, "eventlet": 20, "solo": 1}
STARTS = 3
NEIGHBOURS = 20
VISIBILITY = 3  # seconds after which Redis hands out what a dead worker had


@pytest.fixture
def database(postgresql_url: str) -> Iterator[PostgreSQL]:
    """An empty database on a real PostgreSQL."""
    with postgresql(postgresql_url, f"test_{uuid.uuid4().hex}") as database:
        yield database


@pytest.fixture
def project(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    environment: Any,
    database: PostgreSQL,
    redis_url: str,
) -> Probed:
    """A project with one worker. Parameters: the broker, and the worker's pool."""
    broker, pool = request.param
    broker_url = request.getfixturevalue("rabbitmq") if broker == "rabbitmq" else ""
    made = probed(
        tmp_path,
        environment("5.2"),
        database.url,
        redis_url,
        broker_url=broker_url,
        broker=broker,
        result_backend="redis",
        queues=f"jobs:{pool}:{SIZES[pool]}",
    )
    return made


EVERYWHERE = [(broker, pool) for broker in OPTIONS["broker"] for pool in SIZES]


def each(*cells: tuple[str, str], long: list[tuple[str, str]]) -> pytest.MarkDecorator:
    """Run a test on some brokers and pools, and in `make test-long` on others."""
    cases = [
        pytest.param(cell, id="-".join(cell), marks=[] if cell in cells else [pytest.mark.long])
        for cell in EVERYWHERE
        if cell in {*cells, *long}
    ]
    return pytest.mark.parametrize("project", cases, indirect=True)


def be_quick(project: Probed) -> None:
    """Have Redis hand out what a dead worker had after a few seconds, instead of minutes."""
    settings = project.project.path / "config" / "settings" / "broker.py"
    with settings.open("a") as file:
        file.write(
            "\nif 'visibility_timeout' in CELERY_BROKER_TRANSPORT_OPTIONS:\n"
            f"    CELERY_BROKER_TRANSPORT_OPTIONS['visibility_timeout'] = {VISIBILITY}\n"
        )
    project.environment["CELERY_SKIP_CHECKS"] = "1"


@contextmanager
def kept_up(project: Probed) -> Iterator[list[int]]:
    """Keep a worker up as a supervisor does; yields the exit codes of those that died."""
    codes: list[int] = []
    stopping = threading.Event()
    current: list[subprocess.Popen[bytes]] = []
    output = project.log.open("wb")

    def run() -> None:
        while not stopping.is_set():
            process = subprocess.Popen(
                [str(project.project.path / ".venv/bin/python"), "-m", "workers.run", "jobs"],
                cwd=project.project.path,
                env=project.project.environment(**project.environment),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            current[:] = [process]
            codes.append(process.wait())
            stopping.wait(VISIBILITY)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        wait_until(lambda: " ready." in project.output(), 60)
        yield codes
    finally:
        stopping.set()
        current[0].terminate()
        thread.join()
        output.close()


def letters(database: PostgreSQL) -> list[dict[str, Any]]:
    """Return every dead letter, oldest first."""
    with psycopg.connect(database.url, row_factory=psycopg.rows.dict_row) as connection:
        return connection.execute("SELECT * FROM workers_deadletter ORDER BY id").fetchall()


def starts(database: PostgreSQL) -> int:
    """Return how many starts are remembered."""
    return database_count(database, "workers_start")


def database_count(database: PostgreSQL, table: str) -> int:
    with psycopg.connect(database.url) as connection:
        row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(row[0]) if row else 0


@each(("redis", "prefork"), ("rabbitmq", "gevent"), long=EVERYWHERE)
def test_a_task_that_kills_its_process_is_parked_and_its_neighbours_are_not(
    request: pytest.FixtureRequest, project: Probed, database: PostgreSQL
) -> None:
    broker, _ = request.node.callspec.params["project"]
    number = signal.SIGSEGV if broker == "redis" else 0
    be_quick(project)
    with kept_up(project):
        project.touch(NEIGHBOURS // 2, pause=1)
        project.send("die", "poison", int(number), task_id="a-poison")
        project.touch(NEIGHBOURS, pause=1)
        wait_until(lambda: letters(database), 120)
        wait_until(lambda: project.ledger.hlen("done") == NEIGHBOURS, 120)
        project.send("note", "after")
        wait_until(lambda: project.notes("after"), 60)
    (letter,) = letters(database)
    assert len(project.notes("poison")) == STARTS
    assert (letter["reason"], letter["task"]) == ("poison", "probe.tasks.die")
    assert (letter["task_id"], letter["queue"]) == ("a-poison", "jobs")
    assert json.loads(letter["body"])["args"] == ["poison", number]
    assert letter["history"].count(" on jobs@") == STARTS - 1
    # Its message may come back, until the letter is settled.
    assert starts(database) == STARTS - 1


AGAIN = {"once": ["1", "2"], "twice": ["3", "4"]}  # in how many processes that died


@each(("redis", "threads"), long=[("redis", "gevent")])
def test_who_was_in_two_processes_that_died_runs_beside_none_of_these(
    project: Probed, database: PostgreSQL
) -> None:
    broker = Redis.from_url(project.environment["CELERY_BROKER_URL"])
    for number in [*AGAIN["once"], *AGAIN["twice"]]:
        # Long enough to be seen at it.
        project.send("touch", number, 3, task_id=number)
    for place, text in enumerate(broker.lrange("jobs", 0, -1)):
        message = json.loads(text)
        message["properties"]["delivery_info"]["redelivered"] = True
        broker.lset("jobs", place, json.dumps(message))
    with psycopg.connect(database.url) as connection:
        for number in AGAIN["twice"]:
            connection.execute(
                "INSERT INTO workers_start (task_id, worker, started_at) VALUES (%s, 'dead', now())",
                [number],
            )

    def running() -> set[str]:
        with project.ledger.pipeline() as pipeline:
            begun, done = pipeline.hkeys("started").hkeys("done").execute()
        return set(begun) - set(done)

    seen: list[set[str]] = []
    with project.working() as worker:
        project.wait_for(
            lambda: seen.append(running()) or project.ledger.hlen("done") == 4,  # type: ignore[func-returns-value]
            worker,
        )
    for number in AGAIN["twice"]:
        assert {frozenset(each) for each in seen if number in each} == {frozenset({number})}
    assert set(AGAIN["once"]) in seen


@each(long=[("redis", "threads"), ("redis", "gevent"), ("rabbitmq", "eventlet"), ("redis", "solo")])
def test_a_task_that_leaves_is_parked_and_keeps_no_slot(
    request: pytest.FixtureRequest, project: Probed, database: PostgreSQL
) -> None:
    _, pool = request.node.callspec.params["project"]
    be_quick(project)
    with kept_up(project):
        for number in range(SIZES[pool]):
            project.send("leave", f"leaver {number}")
        wait_until(lambda: len(letters(database)) == SIZES[pool], 200)
        project.touch(NEIGHBOURS)
        wait_until(lambda: project.ledger.hlen("done") == NEIGHBOURS, 60)
    assert {letter["reason"] for letter in letters(database)} == {"poison"}
    assert {len(project.notes(f"leaver {number}")) for number in range(SIZES[pool])} == {STARTS}


ENDS = ["die", "die", "retry", "die", "die", "retry", "die", "die"]


@each(
    long=[("redis", "prefork"), ("redis", "gevent"), ("rabbitmq", "threads"), ("rabbitmq", "solo")]
)
def test_a_task_that_ends_begins_to_be_counted_anew(project: Probed, database: PostgreSQL) -> None:
    be_quick(project)
    with kept_up(project):
        project.send("follow", "well", [*ENDS, "succeed"])
        # Each death may be that of a whole worker, which takes its time to start again.
        wait_until(lambda: project.ledger.llen("well") == len(ENDS) + 1, 400)
        project.send("follow", "badly", ["die", "die", "fail"], task_id="badly")
        wait_until(lambda: letters(database), 120)
        wait_until(lambda: starts(database) == 0, 60)
    (letter,) = letters(database)
    assert (letter["task_id"], letter["reason"]) == ("badly", "failed")


@each(("redis", "prefork"), long=[("rabbitmq", "gevent")])
def test_a_next_step_that_cannot_be_sent_is_parked_also_of_a_task_that_was_handed_out_twice(
    project: Probed, database: PostgreSQL
) -> None:
    be_quick(project)
    step = {"task": "probe.tasks.tell", "args": [], "kwargs": {}, "options": {}, "immutable": True}
    with kept_up(project):
        project.send("follow", "x", ["die", "end"], chain=[step], message_id="1")
        wait_until(lambda: len(project.notes("x")) == 2, 60)
        wait_until(lambda: letters(database), 60)
    (letter,) = letters(database)
    assert (letter["task"], letter["reason"]) == ("probe.tasks.follow", "failed")


def is_done(project: Probed, number: int) -> bool:
    """Tell whether more than so many tasks are done."""
    return int(project.ledger.hlen("done")) > number


@each(
    long=[("redis", "prefork"), ("redis", "threads"), ("rabbitmq", "gevent"), ("rabbitmq", "solo")]
)
def test_ten_rolling_restarts_under_load_park_nothing(
    request: pytest.FixtureRequest, project: Probed, database: PostgreSQL
) -> None:
    _, pool = request.node.callspec.params["project"]
    number = min(400, 80 * SIZES[pool])  # enough for ten workers, of 0.2 s each
    with project.working():  # on RabbitMQ, whoever consumes declares the queue
        project.touch(number, pause=0.2)
    for _ in range(9):
        with project.working() as worker:
            enough = min(project.ledger.hlen("done") + 5, number - 1)
            project.wait_for(partial(is_done, project, enough), worker)
    with project.working() as worker:
        project.wait_for(lambda: project.ledger.hlen("done") == number, worker)
        project.wait_for(lambda: starts(database) == 0, worker)
    assert letters(database) == []


@each(("redis", "gevent"), long=[*(("redis", pool) for pool in SIZES), ("rabbitmq", "eventlet")])
def test_a_cold_stop_in_the_middle_of_much_loses_and_parks_nothing(
    request: pytest.FixtureRequest, project: Probed, database: PostgreSQL
) -> None:
    _, pool = request.node.callspec.params["project"]
    be_quick(project)
    number = 3 * SIZES[pool] + 5
    with project.working() as worker:
        project.touch(number, pause=1)
        project.wait_for(partial(is_done, project, SIZES[pool] // 2), worker)
        worker.send_signal(signal.SIGQUIT)
        worker.wait(timeout=60)
    assert project.ledger.hlen("done") < number
    with project.working() as worker:
        project.wait_for(lambda: project.ledger.hlen("done") == number, worker)
        project.wait_for(lambda: starts(database) == 0, worker)
    assert letters(database) == []
