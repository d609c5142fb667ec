"""What fails for good, and what cannot be read, on real brokers: kept once, and sent again once."""

import json
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from celery import Celery
from redis import Redis

from tests.faults.proxy import Proxy
from tests.probed import SESSIONS, PostgreSQL, Probed, postgresql, probed
from tests.test_poison import STARTS, letters, starts

SIZES = {"prefork": 2, "gevent": 10, "threads": 2}


@pytest.fixture
def database(postgresql_url: str) -> Iterator[PostgreSQL]:
    """An empty database on a real PostgreSQL."""
    with postgresql(postgresql_url, f"test_{uuid.uuid4().hex}") as database:
        yield database


REDIS, RABBITMQ = CELLS = ("redis", "prefork"), ("rabbitmq", "gevent")


def first(chosen: tuple[str, str]) -> pytest.MarkDecorator:
    """Run a test on one broker, and on the other one in `make test-long`."""
    cases = [
        pytest.param(cell, id=" ".join(cell), marks=[] if cell == chosen else pytest.mark.long)
        for cell in CELLS
    ]
    return pytest.mark.parametrize("project", cases, indirect=True)


@pytest.fixture(params=CELLS, ids=" ".join)
def project(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    environment: Any,
    database: PostgreSQL,
    redis_url: str,
) -> Probed:
    """A project with one worker, on each broker."""
    broker, pool = request.param
    return probed(
        tmp_path,
        environment("5.2"),
        database.url,
        redis_url,
        broker_url=request.getfixturevalue("rabbitmq") if broker == "rabbitmq" else "",
        broker=broker,
        result_backend="redis",
        queues=f"jobs:{pool}:{SIZES[pool]}",
    )


def publish(project: Probed, body: bytes, **message: Any) -> None:
    """Put a message into the queue as it is."""
    url = project.environment["CELERY_BROKER_URL"]
    address = {"exchange": "", "routing_key": "jobs", **project.address}
    address.pop("queue", None)
    sender = Celery(broker=url, set_as_current=False)
    with sender, sender.connection_for_write() as connection:
        connection.Producer(serializer=None).publish(
            body,
            **address,
            **{"content_type": "application/json", "content_encoding": "utf-8", **message},
        )


def manage(project: Probed, *arguments: str) -> str:
    return project.run("python", "manage.py", "dead_letters", *arguments)


HOW = {
    "exception": "RuntimeError: exception",
    "retries": "RuntimeError: retries",
    "memory": "MemoryError: memory",
    "reject": "rejected",
    "unsendable": "which is no JSON",
}


@first(REDIS)
def test_what_fails_is_kept_once_and_sent_again_once(project: Probed, database: PostgreSQL) -> None:
    with project.working() as worker:
        for how in HOW:
            project.send("fail", how, how, task_id=f"id-{how}", headers={"tenant": "7"})
        project.send("fail", "time", "time", task_id="id-time", soft_time_limit=1, time_limit=2)
        project.send("answer", "none", task_id="id-answer")
        project.wait_for(lambda: len(letters(database)) == len(HOW) + 2, worker)
        project.send("note", "after")
        project.wait_for(lambda: project.notes("after"), worker)
        found = {letter["task_id"]: letter for letter in letters(database)}
        assert len(found) == len(HOW) + 2
        for how, said in HOW.items():
            letter = found[f"id-{how}"]
            assert said in letter["history"]
            assert (letter["reason"], letter["state"]) == ("failed", "waiting")
            body = json.loads(letter["body"])
            assert body["args"] == [how, how]
            assert body["options"]["headers"] == {"tenant": "7"}
        assert "TimeLimitExceeded" in found["id-time"]["history"]
        assert "EncodeError" in found["id-answer"]["history"]
        assert project.ledger.llen("retries") == 2

        for how in HOW:
            project.ledger.set(f"mended {how}", 1)
        listed = manage(project, "list")
        assert all(f"id-{how}" in listed for how in HOW)
        numbers = [str(found[f"id-{how}"]["id"]) for how in HOW]
        manage(project, "replay", *numbers)
        project.wait_for(lambda: all(project.ledger.llen(how) >= 2 for how in HOW), worker)
        project.wait_for(lambda: project.ledger.llen("retries") == 3, worker)
        refused = project.refused("python", "manage.py", "dead_letters", "replay", *numbers, "999")
        assert refused.count("sent again at") == len(HOW)
        assert "Letter 999" in refused
        manage(project, "discard", str(found["id-time"]["id"]))
        again = str(found["id-time"]["id"])
        refused = project.refused("python", "manage.py", "dead_letters", "replay", again)
        assert "discarded at" in refused
    assert len(letters(database)) == len(HOW) + 2
    assert project.ledger.llen("exception") == 2
    assert starts(database) == 0


MALFORMED: dict[str, dict[str, Any]] = {
    "no JSON": {"body": b"{", "headers": {"task": "probe.tasks.note", "id": "a"}},
    "no arguments": {"body": b"[]", "headers": {"task": "probe.tasks.note", "id": "b"}},
    "no options": {"body": b'[[], {}, "x"]', "headers": {"task": "probe.tasks.note", "id": "c"}},
    "no id": {"body": b"[[], {}, {}]", "headers": {"task": "probe.tasks.note"}},
    "no name": {"body": b"[[], {}, {}]", "headers": {"task": [], "id": "d"}},
    "no task": {"body": b'{"hello": "\\u0000 \\ud800"}'},
    "bytes": {"body": b"\xff\x00", "content_type": "application/x-python-serialize"},
    "a pickle": {
        "body": b"\x80\x04N.",
        "content_type": "application/x-python-serialize",
        "content_encoding": "binary",
        "headers": {"task": "probe.tasks.note", "id": "e"},
    },
    "a bad eta": {
        "body": b"[[], {}, {}]",
        "headers": {"task": "probe.tasks.note", "id": "f", "eta": "soon"},
    },
    "bad limits": {
        "body": b"[[], {}, {}]",
        "headers": {"task": "probe.tasks.note", "id": "g", "timelimit": 5},
    },
    "bad limits of an unknown task": {
        "body": b"[[], {}, {}]",
        "headers": {"task": "probe.tasks.gone", "id": "h", "timelimit": 5},
    },
}


def test_what_no_worker_can_read_is_kept_and_the_next_task_is_done(
    project: Probed, database: PostgreSQL
) -> None:
    with project.working() as worker:
        for message in MALFORMED.values():
            publish(project, **message)
        project.send("nowhere", "x", task_id="unknown", headers={"tenant": "7"})
        project.send("note", "after")
        project.wait_for(lambda: project.notes("after"), worker)
        project.wait_for(lambda: len(letters(database)) == len(MALFORMED) + 1, worker)
    found = letters(database)
    assert [letter["reason"] for letter in found].count("malformed") == len(MALFORMED)
    (unknown,) = (letter for letter in found if letter["reason"] == "unknown")
    assert (unknown["task"], unknown["task_id"]) == ("probe.tasks.nowhere", "unknown")
    refused = project.refused("python", "manage.py", "dead_letters", "replay", "--all")
    assert refused.count("cannot be read") == len(MALFORMED)
    assert "'probe.tasks.nowhere', which does not exist" in refused


REPLAY = "from workers.models import DeadLetter as D; from workers.replay import send_again; "


def test_a_letter_that_two_send_at_once_is_sent_once(project: Probed, database: PostgreSQL) -> None:
    with project.working() as worker:
        project.send("fail", "twice", "x")
        project.wait_for(lambda: letters(database), worker)
        project.ledger.set("mended twice", 1)
        said: list[str] = []

        def replay() -> None:
            shell = ("python", "manage.py", "shell", "--verbosity=0", "--command")
            code = "try: send_again(D.objects.get())\nexcept Exception as e: print(e)"
            said.append(project.run(*shell, f"{REPLAY}\n{code}"))

        threads = [threading.Thread(target=replay) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum("sent again at" in text for text in said) == 2
        project.send("note", "after")
        project.wait_for(lambda: project.notes("after"), worker)
        project.wait_for(lambda: project.ledger.llen("twice") >= 2, worker)
    assert project.ledger.llen("twice") == 2


@first(RABBITMQ)
def test_a_letter_of_an_unknown_task_is_sent_by_a_worker_that_knows_it(
    project: Probed, database: PostgreSQL
) -> None:
    tasks = project.project.path / "probe" / "tasks.py"
    code = tasks.read_text()
    tasks.write_text(code.replace("def note(", "def renamed("))
    with project.working() as worker:
        project.send("note", "unknown")
        project.wait_for(lambda: letters(database), worker)
        # Behind that it is acknowledged, and the next one is taken.
        project.touch(1)
        project.wait_for(lambda: project.ledger.hlen("done") == 1, worker)
    tasks.write_text(code)
    with project.working() as worker:
        # A worker has loaded its tasks.
        sweep = (
            "from config.celery import app; app.autodiscover_tasks(force=True); "
            "from workers.replay import send_known; send_known(); send_known()"
        )
        project.run("python", "manage.py", "shell", "--verbosity=0", "--command", sweep)
        project.wait_for(lambda: project.notes("unknown"), worker)
    (letter,) = letters(database)
    assert letter["state"] == "sent"
    assert project.ledger.llen("unknown") == 1


@first(REDIS)
def test_a_step_of_a_chain_is_sent_again_with_what_comes_after_it(
    project: Probed, database: PostgreSQL
) -> None:
    chain = (
        "from celery import chain; from probe.tasks import fail, note; "
        "chain(fail.si('step', 'x'), note.si('next')).delay()"
    )
    with project.working() as worker:
        project.run("python", "manage.py", "shell", "--verbosity=0", "--command", chain)
        project.wait_for(lambda: letters(database), worker)
        assert not project.notes("next")
        project.ledger.set("mended step", 1)
        manage(project, "replay", "--all", "--reason", "failed")
        project.wait_for(lambda: project.notes("next"), worker)


def test_a_revoked_task_leaves_no_letter(project: Probed, database: PostgreSQL) -> None:
    with (
        project.working() as worker,
        Celery(broker=project.environment["CELERY_BROKER_URL"], set_as_current=False) as app,
    ):
        project.send("hang", "revoked", task_id="revoked")
        project.wait_for(lambda: project.notes("revoked"), worker)
        app.control.revoke("revoked", terminate=True)
        project.wait_for(lambda: "revoked" in project.output().split("received", 1)[1], worker)
        project.send("note", "after")
        project.wait_for(lambda: project.notes("after"), worker)
    assert letters(database) == []


def test_what_fails_while_the_database_is_away_is_kept_once_it_is_back(
    project: Probed, database: PostgreSQL
) -> None:
    name = database.url.rpartition("/")[2]
    with project.working() as worker:
        database.watcher.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        database.terminate()
        project.send("fail", "away", "x", task_id="fails")
        project.send("nowhere", "x", task_id="unknown")
        publish(project, b"{", headers={"task": "probe.tasks.note", "id": "malformed"})
        # A pool of connections goes on trying for a while.
        said = ("goes back to the broker", "error connecting")
        project.wait_for(lambda: sum(map(project.output().count, said)) >= 3, worker)
        # Not round and round: it waits before it comes again.
        assert project.ledger.llen("away") <= 2
        database.watcher.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        project.wait_for(lambda: len(letters(database)) == 3, worker)
        project.send("note", "after")
        project.wait_for(lambda: project.notes("after"), worker)
    found = {letter["task_id"]: letter["reason"] for letter in letters(database)}
    assert found == {"fails": "failed", "unknown": "unknown", "malformed": "malformed"}


SLOW = """
CREATE TABLE slow (number integer);
CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN PERFORM pg_sleep(3); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION wait();
"""
# By task, what its session is at when it ends.
AT = {"wait_in_database": "%%pg_sleep%%", "wait_in_transaction": "%%pg_sleep%%"}
AT["commit_slowly"] = "COMMIT"


@first(REDIS)
def test_a_task_whose_session_ends_runs_again_and_one_that_ends_it_is_parked(
    project: Probed, database: PostgreSQL
) -> None:
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(SLOW)
    with project.working() as worker:
        for task, query in AT.items():
            # Its time is over before it would come back after the usual pause.
            project.send(task, task, time_limit=5, soft_time_limit=5)
            end = (
                f"SELECT count(pg_terminate_backend(pid, 10000)) {SESSIONS} AND query LIKE '{query}' "
                "AND state = 'active'"
            )
            project.wait_for(lambda end=end: database.ask(end), worker)  # type: ignore[misc]
        for task in AT:
            project.wait_for(lambda task=task: project.notes(task) == ["2"], worker)  # type: ignore[misc]
        assert not letters(database)
        project.send("end_session", "ended")
        project.wait_for(lambda: letters(database), worker)
    (letter,) = letters(database)
    assert len(project.notes("ended")) == STARTS
    assert letter["reason"] == "failed"
    assert "terminating connection" in letter["history"]


@pytest.mark.parametrize("project", [("redis", "gevent")], ids=" ".join, indirect=True)
def test_a_limit_that_hits_a_commit_is_what_the_letter_says(
    project: Probed, database: PostgreSQL
) -> None:
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(SLOW)
    with project.working() as worker:
        project.send("commit_slowly", "slow", time_limit=1)
        project.wait_for(lambda: letters(database), worker)
        project.send("note", "after")
        project.wait_for(lambda: project.notes("after"), worker)
    (letter,) = letters(database)
    assert "TimeLimitExceeded" in letter["history"]


@pytest.mark.parametrize("project", [("redis", "threads")], ids=" ".join, indirect=True)
def test_what_gives_up_on_something_asynchronous_is_kept(
    project: Probed, database: PostgreSQL
) -> None:
    with project.working() as worker:
        project.send("time_out", "late")
        project.wait_for(lambda: letters(database), worker)
    assert "TimeoutError" in letters(database)[0]["history"]


@pytest.mark.parametrize(
    "pool", ["prefork", *(pytest.param(p, marks=pytest.mark.long) for p in ("threads", "eventlet"))]
)
def test_where_no_result_can_be_stored_tasks_go_back_and_are_done_later(
    tmp_path: Path, environment: Any, database: PostgreSQL, redis_url: str, pool: str
) -> None:
    project = probed(
        tmp_path,
        environment("5.2"),
        database.url,
        redis_url,
        result_backend="database",
        queues=f"jobs:{pool}:2",
    )
    del project.environment["CELERY_RESULT_BACKEND"]  # Celery would take it before any setting
    table = "django_celery_results_taskresult"
    tasks = ("first", "second")
    with project.working() as worker, psycopg.connect(database.url, autocommit=True) as connection:
        project.send("hold_and_retry", "retried")
        project.wait_for(lambda: project.ledger.llen("retried before"), worker)
        connection.execute(f"ALTER TABLE {table} RENAME TO gone")
        project.ledger.set("enough of retried before", 1)
        project.wait_for(lambda: "Nobody is told that" in project.output(), worker)
        # It was acknowledged, and cannot go back.
        project.send("tell_early", "early", task_id="early")
        project.wait_for(lambda: letters(database), worker)
        for task in tasks:
            # Its time is over before it would come back after the usual pause.
            project.send("tell", task, time_limit=4, soft_time_limit=4)
        project.wait_for(lambda: project.output().count("goes back to the broker") >= 2, worker)
        connection.execute(f"ALTER TABLE gone RENAME TO {table}")
        project.wait_for(lambda: all(map(project.notes, tasks)), worker)
        ask = f"SELECT count(*) FROM {table} WHERE status = 'SUCCESS'"
        stored = len(tasks) + 1  # and that of what was tried again
        project.wait_for(lambda: connection.execute(ask).fetchone() == (stored,), worker)
    assert project.ledger.lrange("retried", 0, -1) == ["0", "1"]
    (letter,) = letters(database)
    assert (letter["task_id"], letter["reason"]) == ("early", "failed")
    assert not project.notes("early")


@pytest.mark.parametrize(
    "project",
    [REDIS, pytest.param(("redis", "gevent"), marks=pytest.mark.long)],
    ids=" ".join,
    indirect=True,
)
def test_a_connection_to_the_results_that_fell_silent_parks_nothing(
    project: Probed, database: PostgreSQL
) -> None:
    url = project.environment["CELERY_RESULT_BACKEND"]
    port = urlsplit(url).port or 6379
    with Proxy(port) as proxy:
        project.environment["CELERY_RESULT_BACKEND"] = url.replace(f":{port}/", f":{proxy.port}/")
        with project.working() as worker:
            for name in ("before", "after"):
                if name == "after":
                    assert proxy.silence()
                project.send("tell", name, times=8)
                project.wait_for(lambda name=name: len(project.notes(name)) == 8, worker)  # type: ignore[misc]
    results = Redis.from_url(url)
    keys = results.keys("celery-task-meta-*")
    states = {json.loads(meta or "{}")["status"] for meta in results.mget(keys)}
    assert (len(keys), states) == (16, {"SUCCESS"})
    assert letters(database) == []


# The session ends over the first result of each, which is tried three times, as if the server were told to stop.
TROUBLE = """
CREATE SEQUENCE x;
CREATE SEQUENCE y;
CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NEW.status IN ('SUCCESS', 'FAILURE') AND nextval(NEW.task_id) <= 3 THEN
    RAISE EXCEPTION 'terminating connection' USING ERRCODE = '57P01';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER trouble BEFORE INSERT OR UPDATE ON django_celery_results_taskresult
    FOR EACH ROW EXECUTE FUNCTION trouble();
"""
STORED = "SELECT status FROM django_celery_results_taskresult"


@pytest.mark.long
@pytest.mark.parametrize("pool", ["prefork", "gevent"])
def test_a_session_that_ends_over_a_result_has_the_task_run_again(
    tmp_path: Path, environment: Any, database: PostgreSQL, redis_url: str, pool: str
) -> None:
    project = probed(
        tmp_path,
        environment("5.2"),
        database.url,
        redis_url,
        result_backend="database",
        queues=f"jobs:{pool}:2",
    )
    del project.environment["CELERY_RESULT_BACKEND"]  # Celery would take it before any setting
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(TROUBLE)
        with project.working() as worker:
            for task, name in (("tell", "x"), ("tell_and_fail", "y")):
                failed = Celery(set_as_current=False).signature(
                    "probe.tasks.note", args=(f"{name} failed",), immutable=True, queue="jobs"
                )
                project.send(task, name, task_id=name, link_error=[failed])
            project.wait_for(
                lambda: all(len(project.notes(name)) >= 2 for name in ("x", "y")), worker
            )
            project.wait_for(
                lambda: sorted(connection.execute(STORED)) == [("FAILURE",), ("SUCCESS",)], worker
            )
            failure = "raised unexpected: RuntimeError('y')"
            project.wait_for(lambda: failure in project.output(), worker)
            project.wait_for(lambda: project.notes("y failed"), worker)
            project.send("note", "after")
            project.wait_for(lambda: project.notes("after"), worker)
    assert not project.notes("x failed")
    assert project.output().count("raised unexpected") == 1
    assert project.ledger.llen("y failed") == 1
    (letter,) = letters(database)
    assert "RuntimeError: y" in letter["history"]
