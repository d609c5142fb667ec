"""Workers and a real RabbitMQ: its events, its silence, its remote control."""

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from celery import Celery
from pytest_rabbitmq.factories.executor import RabbitMqExecutor

from tests.faults.proxy import Proxy
from tests.probed import Probed, probed

HEARTBEAT = 3  # seconds


def listens(url: str) -> bool:
    """Tell whether a worker answers."""
    with Celery(broker=url, set_as_current=False) as app:
        return bool(app.control.ping(timeout=2))


@pytest.fixture
def project(tmp_path: Path, environment: Any, redis_url: str, rabbitmq: str, pool: str) -> Probed:
    """Return a project with one worker, which has room for 20 tasks, or on solo for one."""
    return probed(
        tmp_path,
        environment("5.2"),
        f"sqlite:///{tmp_path}/db.sqlite3",
        redis_url,
        broker_url=rabbitmq,
        broker="rabbitmq",
        database="sqlite",
        queues="jobs:solo" if pool == "solo" else f"jobs:{pool}:20",
    )


@contextmanager
def behind_a_proxy(project: Probed, rabbitmq: str) -> Iterator[tuple[psutil.Process, Proxy]]:
    """Keep a worker up whose connections a proxy may harm, and wait until it answers.

    Whoever sends it something has a connection of their own.
    """
    settings = project.project.path / "config" / "settings" / "broker.py"
    settings.write_text(settings.read_text() + f"\nCELERY_BROKER_HEARTBEAT = {HEARTBEAT}\n")
    url = urlsplit(rabbitmq)
    with Proxy(url.port or 5672) as proxy:
        through = rabbitmq.replace(f":{url.port}/", f":{proxy.port}/")
        project.environment["CELERY_BROKER_URL"] = through
        with project.working() as worker:
            project.environment["CELERY_BROKER_URL"] = rabbitmq
            project.wait_for(lambda: listens(rabbitmq), worker)
            yield worker, proxy


@pytest.mark.parametrize("pool", ["gevent", pytest.param("eventlet", marks=pytest.mark.long)])
def test_greenlets_wait_for_no_events(project: Probed) -> None:
    with project.working() as worker:
        project.send("sleep", "slept", times=900)
        # 45 turns of 50 ms. Celery by itself takes ten a second.
        project.wait_for(lambda: project.ledger.llen("slept") == 900, worker, seconds=60)


@pytest.mark.long
@pytest.mark.parametrize("pool", ["gevent", "eventlet"])
def test_greenlets_outlive_connections_that_fell_silent(project: Probed, rabbitmq: str) -> None:
    with behind_a_proxy(project, rabbitmq) as (worker, proxy):
        assert proxy.silence()
        project.send("note", "after")
        # Two heartbeats until it knows, and the time for an answer, once for each connection.
        project.wait_for(lambda: project.notes("after"), worker, seconds=90)
        project.wait_for(lambda: listens(rabbitmq), worker)


@pytest.mark.parametrize("pool", ["eventlet", pytest.param("gevent", marks=pytest.mark.long)])
def test_a_cold_stop_that_comes_while_a_greenlet_runs_fails_no_task(project: Probed) -> None:
    with project.working() as worker:
        project.send("spin", "spun")
        project.wait_for(lambda: project.ledger.llen("spun"), worker)
        worker.send_signal(signal.SIGQUIT)
        assert worker.wait(timeout=60) == 0
    with project.working() as worker:
        project.wait_for(lambda: project.ledger.llen("spun done"), worker)
    assert "spin" not in project.run("python", "manage.py", "dead_letters", "list")


@pytest.mark.parametrize(
    "pool",
    ["prefork", *(pytest.param(pool, marks=pytest.mark.long) for pool in ("gevent", "eventlet"))],
)
def test_a_worker_works_before_its_remote_control_is_free(project: Probed, rabbitmq: str) -> None:
    before: Any = Celery(broker=rabbitmq, set_as_current=False).connection_for_write()
    with before:
        # As for a worker that came back sooner than RabbitMQ had noticed that it was gone.
        name = f"jobs@{socket.gethostname()}.celery.pidbox"
        before.default_channel.queue_declare(name, exclusive=True)
        with project.working() as worker:
            project.wait_for(lambda: "Remote control waits" in project.output(), worker)
            project.send("note", "meanwhile")
            project.wait_for(lambda: project.notes("meanwhile"), worker)
            assert not listens(rabbitmq)
            before.release()
            project.wait_for(lambda: listens(rabbitmq), worker)


@pytest.mark.long
@pytest.mark.parametrize("pool", ["solo", "prefork"])
def test_a_monitor_hears_of_a_worker_again_whose_connection_for_events_was_closed(
    project: Probed, rabbitmq: str, rabbitmq_node: RabbitMqExecutor
) -> None:
    options = ("--vhost", urlsplit(rabbitmq).path[1:], "--quiet", "--no-table-headers")

    def idle() -> set[str]:
        """Return the connections of which no channel has a consumer."""
        ask = ("list_channels", *options, "connection", "consumer_count")
        found = [line.split("\t") for line in rabbitmq_node.rabbitctl_output(*ask).splitlines()]
        return {each for each, _ in found} - {each for each, count in found if int(count)}

    with project.working() as worker:
        project.wait_for(lambda: listens(rabbitmq), worker)
        # That for events among them, which a worker that is ready has used.
        for connection in project.wait_for(idle, worker):
            rabbitmq_node.rabbitctl_output("close_connection", connection, "a test")
        with (
            Celery(broker=rabbitmq, set_as_current=False) as app,
            app.connection_for_read() as ours,
        ):
            heard: Any = app.events.Receiver(ours)
            heard.handlers["*"] = lambda event: setattr(heard, "should_stop", True)
            heard.capture(timeout=60)  # raises TimeoutError


@pytest.mark.long
@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_worker_that_stops_is_not_taken_for_dead(project: Probed, rabbitmq: str) -> None:
    with behind_a_proxy(project, rabbitmq) as (worker, proxy):
        # Also where it had to connect again.
        assert proxy.cut()
        project.wait_for(lambda: listens(rabbitmq), worker)
        project.touch(1, pause=5 * HEARTBEAT)
        project.wait_for(lambda: project.ledger.hlen("started"), worker)
        worker.terminate()
        worker.wait(timeout=60)
    with project.working() as worker:
        project.send("note", "after")
        project.wait_for(lambda: project.notes("after"), worker)
    assert project.ledger.hvals("started") == project.ledger.hvals("done") == ["1"]
