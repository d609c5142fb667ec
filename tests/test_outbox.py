"""Tasks that are accepted while something dies: each is sent, and those of a rollback are not."""

import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import port_for
import psycopg
import pytest
from redis import Redis

from tests.baked import PATIENCE, bake, wait_until
from tests.probed import PostgreSQL, Probed, postgresql, probed
from tests.servers import real_redis

SIZES = {"prefork": 2, "gevent": 20, "threads": 4, "eventlet": 20, "solo": 1}
LONG = {"solo", "eventlet", "threads", "gevent"}
BEGIN = """if 1:
    import os, sys, time
    import django; django.setup()
    from django.db import transaction
    from probe.tasks import note
    from workers.models import OutboxMessage
"""
# Seconds within which a row that was left is sent: it is its sender's for ten, and then the next
# keeper's turn.
LEFT = 40


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
    """A project with one worker. Parameter: the worker's pool."""
    pool = getattr(request, "param", "threads")
    queues = f"jobs:{pool}:{SIZES[pool]}"
    return probed(tmp_path, environment("5.2"), database.url, redis_url, queues=queues)


def python(project: Probed, code: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the project's, as its web or a command would be."""
    return subprocess.run(
        [".venv/bin/python", "-c", BEGIN + code],
        cwd=project.project.path,
        env=project.project.environment(**project.environment),
        capture_output=True,
        text=True,
        check=False,
    )


def rows(database: PostgreSQL) -> int:
    """Return how many tasks are in the outbox."""
    with psycopg.connect(database.url) as connection:
        row = connection.execute("SELECT count(*) FROM workers_outboxmessage").fetchone()
    return int(row[0]) if row else 0


def waiting(project: Probed) -> int:
    """Return how many messages are in the broker."""
    return int(Redis.from_url(project.environment["CELERY_BROKER_URL"]).llen("jobs"))


@pytest.mark.parametrize(
    "project",
    [pytest.param(pool, marks=[pytest.mark.long] if pool in LONG else []) for pool in SIZES],
    indirect=True,
)
def test_a_task_is_sent_though_its_sender_dies_between_commit_and_publish(
    project: Probed, database: PostgreSQL
) -> None:
    killed = python(
        project,
        """
    with transaction.atomic():
        transaction.on_commit(lambda: os._exit(9))
        note.delay_on_commit("killed")
    """,
    )
    assert killed.returncode == 9, killed.stderr
    assert (rows(database), waiting(project)) == (1, 0)
    budget = project.budget()
    with project.working() as worker:
        project.wait_for(lambda: project.notes("killed"), worker, LEFT)
        project.wait_for(lambda: rows(database) == 0, worker)
        # Not a connection between two turns, but those of the slots.
        project.wait_for(lambda: database.open <= budget, worker)
        began = time.monotonic()
    assert time.monotonic() - began < 20
    assert len(project.notes("killed")) == 1
    wait_until(lambda: database.open == 0, 10)


def test_nothing_is_left_of_what_was_rolled_back(project: Probed, database: PostgreSQL) -> None:
    result = python(
        project,
        """
    class Undo(Exception): pass
    try:
        with transaction.atomic():
            note.delay_on_commit("undone")
            raise Undo
    except Undo: pass
    with transaction.atomic():
        try:
            with transaction.atomic():
                note.delay_on_commit("undone")
                raise Undo
        except Undo: pass
        note.delay_on_commit("done")
        print(OutboxMessage.objects.count())
    print(OutboxMessage.objects.count())
    """,
    )
    assert result.stdout.split() == ["1", "0"], result.stderr
    assert (rows(database), waiting(project)) == (0, 1)


def test_an_order_is_taken_and_completed_though_the_broker_is_away(
    tmp_path: Path, redis_server: Path
) -> None:
    port = port_for.select_random()
    project = bake(tmp_path, queues="jobs:threads", beat_scheduler="none", use_flower="false")
    folder = tmp_path / "redis"
    folder.mkdir()
    with ExitStack() as stack:
        broker = ExitStack()
        stack.push(broker)
        url = broker.enter_context(real_redis(redis_server, folder, port=port))
        service = stack.enter_context(project.running(CELERY_BROKER_URL=f"{url}/0"))
        assert service.finish(service.place())["state"] == "completed"
        broker.close()
        began = time.monotonic()
        orders = [service.place() for _ in range(5)]
        # Not one of them waited for a broker that refuses.
        assert time.monotonic() - began < 10
        order = {"email": "a@example.com", "amount": "12.50"}
        with httpx.Client(base_url=service.url, timeout=PATIENCE) as client:
            for status in (201, 200):
                headers = {"Idempotency-Key": "k1"}
                answer = client.post("/api/orders/", json=order, headers=headers)
                assert answer.status_code == status
        stack.enter_context(real_redis(redis_server, folder, port=port))
        states = [service.finish(order_id)["state"] for order_id in orders]
        assert states == ["completed"] * 5
        assert service.finish(answer.json()["id"])["state"] == "completed"
