"""Servers that say nothing, or are away: they are given up in time, and work goes on once they are back."""

import socket
import time
import uuid
from pathlib import Path
from typing import Any

import pexpect
import psutil
import pytest
from pytest_rabbitmq.factories.executor import RabbitMqExecutor

from tests.baked import bake
from tests.probed import postgresql, probed

# Asks the kernel when it gives the connection up: seconds, seconds, probes, milliseconds.
LIMITS = """if 1:
    import os, socket, django; django.setup()
    from django.db import connection
    connection.ensure_connection()
    names = "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT"
    with socket.socket(fileno=os.dup(connection.connection.pgconn.socket)) as ours:
        assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        limits = [ours.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in names]
    print("limits", *limits)
"""
CONNECT = """if 1:
    import time, django; django.setup()
    from django.db import connection
    begun = time.monotonic()
    try: connection.ensure_connection()
    except Exception as error: print(type(error).__name__, round(time.monotonic() - begun))
"""


@pytest.mark.parametrize("pool", [pytest.param("threads", marks=pytest.mark.long), "gevent"])
def test_publishing_gives_up_on_a_rabbitmq_that_fell_silent(
    tmp_path: Path, rabbitmq: str, rabbitmq_node: RabbitMqExecutor, pool: str
) -> None:
    project = bake(tmp_path, broker="rabbitmq", database="sqlite", queues=f"jobs:{pool}")
    project.run("make", "setup")
    code = """if 1:
        import django, time; django.setup()
        from accounts.tasks import remove_expired_sessions as task
        task.delay(); print("sent", flush=True); input()
        begun = time.monotonic()
        try: task.delay()
        except Exception as error: print(type(error).__name__, time.monotonic() - begun, flush=True)
    """
    start = "from gevent.monkey import patch_all; patch_all()\n" if pool == "gevent" else ""
    environment = project.environment(
        CELERY_BROKER_URL=rabbitmq,
        DATABASE_URL=f"sqlite:///{tmp_path}/db",
        DJANGO_SETTINGS_MODULE="config.settings",
    )
    sender = pexpect.spawn(
        f"{project.path}/.venv/bin/python",
        ["-c", start + code],
        cwd=str(project.path),
        env=environment,
        encoding="utf-8",
        timeout=60,
    )
    sender.expect("sent")
    assert rabbitmq_node.process
    server = psutil.Process(rabbitmq_node.process.pid)
    processes = [server, *server.children(recursive=True)]
    for process in processes:
        process.suspend()
    try:
        sender.sendline()
        sender.expect(r"OperationalError (\d+)\.\d+")
        found: Any = sender.match
        assert int(found[1]) < 10
    finally:
        for process in processes:
            process.resume()
    sender.expect(pexpect.EOF)


def test_a_connection_to_a_postgresql_that_is_gone_is_given_up_within_a_minute(
    tmp_path: Path, environment: Any, postgresql_url: str, redis_url: str
) -> None:
    with postgresql(postgresql_url, f"test_{uuid.uuid4().hex}") as database:
        project = probed(tmp_path, environment("5.2"), database.url, redis_url)
        shown = project.run("python", "-c", LIMITS).splitlines()[-1]
    idle, interval, probes, unacknowledged = map(int, shown.split()[1:])
    assert idle + interval * probes <= 60
    assert 0 < unacknowledged <= 60_000


@pytest.mark.long
def test_connecting_to_a_postgresql_that_is_silent_is_given_up_within_a_minute(
    tmp_path: Path, environment: Any, postgresql_url: str, redis_url: str
) -> None:
    with postgresql(postgresql_url, f"test_{uuid.uuid4().hex}") as database:
        project = probed(tmp_path, environment("5.2"), database.url, redis_url)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://service:password@127.0.0.1:{silent.getsockname()[1]}/service"
        project.environment["DATABASE_URL"] = url
        name, seconds = project.run("python", "-c", CONNECT).split()
    assert name == "OperationalError"
    assert int(seconds) < 60  # two minutes, where nobody says anything


@pytest.mark.long
@pytest.mark.parametrize("pool", ["prefork:1", "threads:2", "gevent:20"])
def test_work_goes_on_soon_after_a_postgresql_is_back(
    tmp_path: Path, environment: Any, postgresql_url: str, redis_url: str, pool: str
) -> None:
    queues = f"jobs:{pool}"
    with postgresql(postgresql_url, f"test_{uuid.uuid4().hex}") as database:
        project = probed(
            tmp_path,
            environment("5.2"),
            database.url,
            redis_url,
            db_connection="pool",
            queues=queues,
        )
        project.environment["DATABASE_POOL_SIZE"] = "1"
        name = database.url.rpartition("/")[2]
        with project.working() as worker:
            project.send("note", "before")
            project.wait_for(lambda: project.notes("before"), worker)
            database.watcher.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            database.terminate()
            project.send("note", "after")
            # By itself the pool would have tried last after half of that, and again after twice as long.
            time.sleep(35)
            database.watcher.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
            project.wait_for(lambda: project.notes("after"), worker, seconds=20)
