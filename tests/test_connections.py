"""Connections to a real PostgreSQL around tasks: as chosen, whatever happens to them."""

import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import port_for
import pytest
from redis import Redis

from tests.baked import wait_until
from tests.probed import PostgreSQL, Probed, postgresql, probed
from tests.probed import mariadb as watched_mariadb
from tests.servers import restartable_postgresql

SIZES = {"prefork": 2, "gevent": 20, "threads": 4, "eventlet": 20, "solo": 1}
KEPT = ["prefork", "threads", "solo"]
GREENLETS = ["gevent", "eventlet"]
LONG = {"solo", "eventlet"}  # threads and gevent are much like them
IN_TRANSACTION = (
    "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in %%' AND datname = %s"
)


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
    """A project with one worker. Parameters: the strategy, and the worker's pool."""
    strategy, pool = request.param
    return probed(
        tmp_path,
        environment("5.2"),
        database.url,
        redis_url,
        db_connection=strategy,
        queues=f"jobs:{pool}:{SIZES[pool]}",
    )


def each(strategy: str, names: list[str]) -> pytest.MarkDecorator:
    """Run a test on a strategy with each of some pools."""
    cases = [
        pytest.param(
            (strategy, pool),
            id=f"{strategy}-{pool}",
            marks=[pytest.mark.long] if pool in LONG and len(names) > 1 else [],
        )
        for pool in names
    ]
    return pytest.mark.parametrize("project", cases, indirect=True)


def sessions(project: Probed, name: str, number: int, worker: Any) -> list[str]:
    """Wait for so many notes under a name, and return the sessions that they name."""
    notes = project.wait_for(
        lambda: project.ledger.llen(name) >= number and project.notes(name),
        worker,
    )
    return [note.split()[1] for note in notes]


@each("persistent", KEPT)
def test_a_kept_connection_survives_what_happens_to_it(
    project: Probed, database: PostgreSQL
) -> None:
    budget = project.budget()
    slots = budget - 1
    with project.working() as worker:
        opened = database.opened
        project.send("note", "kept", times=50)
        assert len(set(sessions(project, "kept", 50, worker))) <= slots
        assert database.opened - opened <= slots + project.turns()

        # Every backend is terminated: not one of the next tasks fails.
        assert database.terminate()
        project.send("note", "after", times=20)
        after = sessions(project, "after", 20, worker)
        assert len(set(after)) <= slots
        assert not set(after) & set(sessions(project, "kept", 50, worker))

        # A transaction that a task left open, or broken, is gone with its connection.
        for task in ("leave_transaction_open", "leave_autocommit_off", "break_transaction"):
            project.send(task, "left", times=10)
            project.send("note", task, times=10)
            left = sessions(project, "left", 10, worker)
            found = sessions(project, task, 10, worker)
            assert len(found) == 10
            assert left
            project.ledger.delete("left")
            project.wait_for(lambda: database.ask(IN_TRANSACTION) == 0, worker)
        # One that was closed just now may still be open at the server.
        project.wait_for(lambda: database.open <= budget, worker)
    log = project.output()
    assert log.count("The task left a transaction open") == 10
    assert "Signal handler" not in log
    wait_until(lambda: database.open == 0, 10)


ASKING = """
import django

django.setup()

from django.db import connections as databases
from workers import connections, health_checks

connection = databases["default"]
asked = []
is_usable = type(connection).is_usable
type(connection).is_usable = lambda self: asked.append(self) or is_usable(self)


def run_tasks(number=10):
    asked.clear()
    for _ in range(number):
        connections.settle()
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            pid = cursor.fetchone()[0]
        connections.settle()
    return pid, len(asked)


first, questions = run_tasks()
assert questions == 0, questions

health_checks.FRESH = 0
assert run_tasks() == (first, 10)

health_checks.FRESH = 10
run_tasks(1)
other = connection.copy()
with other.cursor() as cursor:
    cursor.execute("SELECT pg_terminate_backend(%s, 10000)", [first])
    assert cursor.fetchone()[0]
assert not health_checks.is_quiet(connection)
second, questions = run_tasks()
assert second != first
assert questions == 1, questions
"""


@pytest.mark.parametrize("project", [("persistent", "prefork")], indirect=True)
def test_a_connection_in_use_is_asked_now_and_then_and_at_once_where_it_has_ended(
    project: Probed,
) -> None:
    project.run("python", "-c", ASKING)


@pytest.mark.parametrize(
    ("strategy", "pool"),
    [
        ("persistent", "prefork"),
        ("persistent", "gevent"),
        pytest.param("pool", "prefork", marks=pytest.mark.long),
    ],
)
def test_a_restart_of_the_server_fails_no_later_task(
    tmp_path: Path, environment: Any, postgresql: Path, redis_url: str, strategy: str, pool: str
) -> None:
    with restartable_postgresql(postgresql) as (url, restart):
        project = probed(
            tmp_path,
            environment("5.2"),
            url,
            redis_url,
            db_connection=strategy,
            queues=f"jobs:{pool}:{SIZES[pool]}",
        )
        with project.working() as worker:
            project.send("note", "before", times=20)
            sessions(project, "before", 20, worker)
            restart()
            project.send("note", "after", times=20)
            sessions(project, "after", 20, worker)
    assert " ERROR " not in project.output()


@each("persistent", ["solo"])
def test_a_connection_that_is_too_old_is_replaced(project: Probed, database: PostgreSQL) -> None:
    project.environment["DATABASE_MAX_AGE"] = "1"
    with project.working() as worker:

        def another() -> bool:
            project.send("note", "session")
            return len(set(project.notes("session"))) > 1

        project.wait_for(another, worker)
        # The keeper's may be open for a moment.
        project.wait_for(lambda: database.open == 1, worker)


@pytest.mark.parametrize("project", [("pool", "prefork")], indirect=True, ids=["pool-prefork"])
def test_a_worker_starts_while_its_database_is_away(project: Probed) -> None:
    parts = urlsplit(project.environment["DATABASE_URL"])
    address, away = f":{parts.port}/", f":{port_for.select_random()}/"
    project.environment["DATABASE_URL"] = parts.geturl().replace(address, away)
    with project.working() as worker:
        assert len(worker.children()) == 2
    assert "Traceback" not in project.output()


@each("persistent", ["prefork"])
def test_a_child_leaves_its_parents_connection_alone(project: Probed, database: PostgreSQL) -> None:
    """The main process opens one whenever it likes, here before each fork."""
    settings = project.project.path / "probe" / "tasks.py"
    settings.write_text(
        settings.read_text()
        + """
from celery.signals import worker_before_create_process, worker_shutting_down

@worker_before_create_process.connect
def open_one(**kwargs):
    _ledger.rpush("parent", f"{os.getpid()} {session()}")

@worker_shutting_down.connect
def ask_once_more(**kwargs):
    _ledger.rpush("parent", f"{os.getpid()} {session()}")
"""
    )
    with project.working() as worker:
        project.send("note", "children", times=30)
        children = sessions(project, "children", 30, worker)
        parent = sessions(project, "parent", 2, worker)
        assert not set(children) & set(parent)
        # A replaced child is forked while the parent has one open.
        worker.children()[0].kill()
        project.wait_for(lambda: project.ledger.llen("parent") >= 3, worker)
        project.send("note", "more", times=30)
        more = sessions(project, "more", 30, worker)
        assert not set(more) & set(sessions(project, "parent", 3, worker))
    assert len(project.notes("parent")) == 4
    log = project.output()
    assert not re.search(r"ERROR.*(connection|session|SSL|protocol)", log), log


@each("persistent", GREENLETS)
def test_greenlets_share_a_bounded_pool(project: Probed, database: PostgreSQL) -> None:
    project.environment["DATABASE_POOL_SIZE"] = "5"
    budget = project.budget()
    assert budget == 5
    with project.working() as worker:
        opened = database.opened
        project.touch(200, pause=0.05)
        most = 0

        def are_done() -> bool:
            nonlocal most
            most = max(most, database.open)
            return bool(project.ledger.hlen("done") == 200)

        project.wait_for(are_done, worker)
        # Greenlets took turns: in one of two hundred rows they would have waited for ten seconds.
        assert 1 < most <= budget
        assert database.opened - opened <= budget
        assert set(project.ledger.hvals("started")) == {"1"}

        assert database.terminate()
        project.send("note", "after", times=20)
        assert len(sessions(project, "after", 20, worker)) == 20
        for task in ("leave_transaction_open", "leave_autocommit_off", "break_transaction"):
            # More than the pool holds: one that was not given back would be missed.
            project.send(task, "left", times=8)
            project.send("note", task, times=8)
            sessions(project, task, 8, worker)
        assert database.open <= budget
    assert "Signal handler" not in project.output()
    wait_until(lambda: database.open == 0, 10)


@each("persistent", GREENLETS)
def test_a_query_of_one_greenlet_does_not_hold_up_the_others(project: Probed) -> None:
    # Before there is a worker, which might take the first ones alone.
    project.send("wait_in_database", "waited", times=10)
    with project.working() as worker:
        project.wait_for(lambda: project.ledger.llen("waited") == 10, worker)
    # When the first one's query was over, the others had begun as well.
    assert int(project.notes("waited")[0]) == 10


def test_a_query_to_mysql_does_not_hold_up_other_greenlets(
    tmp_path: Path, environment: Any, mariadb: str, redis_url: str
) -> None:
    queues = "jobs:gevent:20"
    project = probed(
        tmp_path, environment("5.2"), mariadb, redis_url, database="mysql", queues=queues
    )
    # Before there is a worker, which might take the first ones alone.
    project.send("wait_in_database", "waited", times=10)
    with project.working() as worker:
        project.wait_for(lambda: project.ledger.llen("waited") == 10, worker)
    assert int(project.notes("waited")[0]) == 10


@each("persistent", ["gevent"])
def test_a_greenlet_that_dies_gives_its_connection_back(
    project: Probed, database: PostgreSQL
) -> None:
    project.environment["DATABASE_POOL_SIZE"] = "3"
    with project.working() as worker:
        project.send("spawn", "spawned", times=6)
        sessions(project, "spawned", 6, worker)

        # Some end with a connection in hand, and before them others that wait for one.
        project.send("hang", "holding", times=3, time_limit=10)
        sessions(project, "holding", 3, worker)
        project.send("hang", "waiting", times=6, time_limit=1)
        project.wait_for(lambda: project.output().count("Hard time limit") == 9, worker)
        assert not project.notes("waiting")
        project.send("note", "after", times=10)
        assert len(sessions(project, "after", 10, worker)) == 10
        assert database.open <= 3
    assert "PoolTimeout" not in project.output()


@each("persistent", ["gevent"])
def test_an_asyncio_loop_under_greenlets_is_explained(project: Probed) -> None:
    with project.working() as worker:
        project.send("run_a_loop", "loop")
        project.wait_for(lambda: project.ledger.llen("loop"), worker)
        project.send("note", "beside", times=3)
        explained = "Route the task that calls asyncio.run()"
        project.wait_for(lambda: explained in project.output(), worker)
        project.ledger.set("enough", 1)
        project.wait_for(lambda: re.search(r"run_a_loop\S+ succeeded", project.output()), worker)
        project.send("note", "later", times=10)
        assert len(sessions(project, "later", 10, worker)) == 10


@pytest.mark.long
@each("persistent", ["gevent"])
def test_no_acknowledgement_is_lost_under_many_greenlets(project: Probed) -> None:
    project.declare("concurrency=20", "concurrency=200")
    with project.working() as worker:
        project.touch(10_000)
        project.wait_for(lambda: project.ledger.hlen("done") == 10_000, worker, 900)
        broker = Redis.from_url(project.environment["CELERY_BROKER_URL"])
        project.wait_for(lambda: broker.hlen("unacked") == 0, worker)
    assert set(project.ledger.hvals("started")) == {"1"}
    assert "Couldn't ack" not in project.output()


@each("persistent", ["gevent"])
def test_a_slot_that_becomes_free_takes_the_next_task(project: Probed) -> None:
    project.declare("concurrency=20", "concurrency=2")
    with project.working() as worker:
        project.send("sleep", "slept", times=100)
        # 50 turns of 50 ms. A worker that sleeps while every slot is taken needs two minutes.
        project.wait_for(lambda: project.ledger.llen("slept") == 100, worker, seconds=30)


@each("persistent", [*KEPT, *GREENLETS])
def test_clients_of_the_cache_and_of_results_stay_open(
    project: Probed, request: pytest.FixtureRequest
) -> None:
    _, pool = request.node.callspec.params["project"]
    server = Redis.from_url(project.environment["CELERY_RESULT_BACKEND"])
    with project.working() as worker:
        project.send("use_clients", "warm", times=40)
        sessions(project, "warm", 40, worker)
        before = server.info("stats")["total_connections_received"]
        project.send("use_clients", "used", times=200)
        used = sessions(project, "used", 200, worker)
        # Each slot may use each of broker, results and cache at the same moment.
        assert len(set(used)) <= SIZES[pool]
        assert server.info("stats")["total_connections_received"] - before < 100


def test_a_kept_connection_to_mysql_survives_a_kill(
    tmp_path: Path, environment: Any, mariadb: str, redis_url: str
) -> None:
    with watched_mariadb(mariadb) as database:
        project = probed(
            tmp_path,
            environment("5.2"),
            database.url,
            redis_url,
            database="mysql",
            queues="jobs:prefork:2",
        )
        with project.working() as worker:
            opened = database.opened
            project.send("note", "kept", times=30)
            kept = set(sessions(project, "kept", 30, worker))
            assert len(kept) <= 2
            assert database.opened - opened <= len(kept) + project.turns()
            assert database.terminate() in (len(kept), len(kept) + 1)
            project.send("note", "after", times=20)
            assert not kept & set(sessions(project, "after", 20, worker))
            project.send("leave_transaction_open", "left", times=5)
            project.send("break_transaction", "left", times=5)
            sessions(project, "left", 10, worker)
            project.send("note", "later", times=20)
            assert len(sessions(project, "later", 20, worker)) == 20
            assert database.open <= project.budget()
