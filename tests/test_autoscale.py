"""`manage.py autoscale_workers` under a real supervisord: it grows with a burst, and shrinks after it."""

import json
import re
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit
from xmlrpc.client import ServerProxy, Transport

import port_for
import psutil
import pytest
from celery import Celery
from redis import Redis

from tests.baked import PATIENCE, SOURCES, wait_until, words
from tests.probed import PostgreSQL, Probed, postgresql, probed
from tests.servers import real_redis

MOST = 4
BURST = 2_000
SEND = """if 1:
    from probe.tasks import touch
    for number in range({times}):
        touch.delay(number, {pause})
"""


@pytest.fixture
def database(postgresql_url: str) -> Iterator[PostgreSQL]:
    """An empty database on a real PostgreSQL."""
    with postgresql(postgresql_url, f"test_{uuid.uuid4().hex}") as database:
        yield database


@pytest.fixture
def scaled(environment: Any, database: PostgreSQL, tmp_path: Path) -> Callable[..., Probed]:
    """Return a project with a worker of one to four processes. Arguments: of `probed`."""

    def scaled(redis: str, concurrency: int = 2, **answers: str) -> Probed:
        queues = f"jobs:prefork:{concurrency}"
        answers |= {"deployment": "supervisor", "queues": queues}
        project = probed(tmp_path, environment("5.2"), database.url, redis, **answers)
        size = f"concurrency={concurrency}"
        project.declare(size, f"{size}, processes=(1, {MOST})")
        file = project.project.path / "deploy/supervisor/supervisord.conf"
        text = file.read_text().replace("numprocs = 1\n", f"numprocs = {MOST}\n")
        file.write_text(text.replace("autostart = true\n", "autostart = false\n"))
        return project

    return scaled


class UnixTransport(Transport):
    """XML-RPC through a socket's file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def make_connection(self, host: Any) -> HTTPConnection:
        """Connect anew for each call."""
        connection = HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self.path))
        self._connection = host, connection
        return connection


@dataclass
class Supervised:
    """A project's workers under supervisord."""

    project: Probed
    folder: Path

    def ask(self, method: str, *arguments: object) -> Any:
        """Call a method of supervisord's."""
        with ServerProxy(
            "http://localhost", UnixTransport(self.folder / "var/supervisor.sock")
        ) as server:
            return getattr(server.supervisor, method)(*arguments)

    @property
    def states(self) -> list[str]:
        """The state of each process of the worker."""
        told = self.ask("getAllProcessInfo")
        return [process["statename"] for process in told if process["group"] == "workers"]

    @property
    def log(self) -> list[str]:
        """What the autoscaler has said."""
        path = self.folder / "var/autoscale.log"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.partition("autoscale_workers: ")[2] or line for line in lines]

    def said(self, text: str) -> bool:
        """Tell whether a line of it has a text."""
        return any(text in line for line in self.log)

    def wait_for(self, ask: Callable[[], Any], seconds: float = PATIENCE) -> None:
        """Wait for a true answer, or fail with what was said."""
        try:
            wait_until(ask, seconds)
        except AssertionError as error:
            logs = [path.read_text()[-3000:] for path in self.folder.glob("var/*.log")]
            raise AssertionError("\n".join([str(error), *self.states, *logs])) from None

    def once(self, *options: str) -> list[str]:
        """Look once; return what was said."""
        command = ["python", "manage.py", "autoscale_workers", "--once", *options]
        told = self.project.run(*command, f"--server=unix://{self.folder}/var/supervisor.sock")
        return [line.partition("autoscale_workers: ")[2] for line in told.splitlines()]


def configuration(project: Probed, *, autoscale: bool) -> str:
    """Return the rendered configuration for a range of processes, without what does not scale."""
    path = project.project.path / "deploy/supervisor/supervisord.conf"
    text = re.sub(r"\[program:(web|beat|flower)\]\n(.+\n)+", "", path.read_text())
    for old, new in {
        "programs = web,beat,flower,autoscale": "programs = autoscale",
        "manage.py autoscale_workers\n": "manage.py autoscale_workers --interval 0.2\n"
        f"autostart = {str(autoscale).lower()}\n",
    }.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    return text


@contextmanager
def supervised(project: Probed, *, autoscale: bool = True) -> Iterator[Supervised]:
    """Keep supervisord up, with the autoscaler or without."""
    # A socket's path must be short.
    with tempfile.TemporaryDirectory(prefix="supervisord-") as name:
        folder, python = Path(name), project.project.path / ".venv/bin/python"
        (folder / "supervisord.conf").write_text(configuration(project, autoscale=autoscale))
        (folder / "var").mkdir()
        process = psutil.Popen(
            [python, "-m", "supervisor.supervisord", "-n", "-c", folder / "supervisord.conf"],
            cwd=project.project.path,
            env=project.project.environment(
                **project.environment, DJANGO_ALLOWED_HOSTS="localhost"
            ),
            start_new_session=True,
            stdout=subprocess.DEVNULL,
        )
        try:
            wait_until((folder / "var/supervisor.sock").exists, PATIENCE)
            yield Supervised(project, folder)
        finally:
            process.terminate()
            try:
                process.wait(timeout=60)
            except psutil.TimeoutExpired:
                for each in [process, *process.children(recursive=True)]:
                    each.kill()
                raise


def send(project: Probed, times: int, pause: float = 0) -> None:
    """Send so many tasks as the project itself does, each with a number of its own."""
    code = SEND.format(times=times, pause=pause)
    project.run("python", "manage.py", "shell", "--verbosity=0", "--command", code)


def check_a_burst(project: Probed) -> None:
    """Have a burst come, and see the worker grow to its maximum, and shrink to its minimum."""
    with supervised(project) as service:
        service.wait_for(lambda: service.states.count("RUNNING") == 1)
        send(project, BURST, pause=0.03)
        service.wait_for(lambda: service.states == ["RUNNING"] * MOST, seconds=30)
        service.wait_for(lambda: project.ledger.hlen("done") == BURST, seconds=180)
        service.wait_for(lambda: sorted(service.states) == ["RUNNING", *["STOPPED"] * (MOST - 1)])
        changes = [line.split(": ")[1] for line in service.log if " -> " in line]
        sizes = [int(change.split()[2]) for change in changes]
    # Nothing was lost, and nothing ran again because its process was stopped.
    assert set(project.ledger.hvals("started")) == {"1"}
    assert project.ledger.hlen("started") == BURST
    # Up as the messages arrive, and down one at a time.
    top = sizes.index(MOST)
    assert sizes[: top + 1] == sorted(sizes[: top + 1])
    assert sizes[top:] == [4, 3, 2, 1]


def test_a_burst_on_redis_makes_a_worker_grow_and_shrink_and_loses_nothing(
    scaled: Callable[..., Probed], redis_url: str
) -> None:
    check_a_burst(scaled(redis_url))


@pytest.mark.long
def test_a_burst_on_rabbitmq_makes_a_worker_grow_and_shrink_and_loses_nothing(
    scaled: Callable[..., Probed], redis_url: str, rabbitmq: str
) -> None:
    project = scaled(redis_url, broker="rabbitmq", broker_url=rabbitmq)
    check_a_burst(project)


def most_connections(project: Probed) -> int:
    """Return how many connections the whole deployment may open."""
    table = project.run("python", "manage.py", "connection_budget")
    return int(table.splitlines()[-1].split()[1])


def allow(database: PostgreSQL, connections: int) -> None:
    """Have a database allow no more."""
    name = database.url.rpartition("/")[2]
    database.watcher.execute(f"ALTER DATABASE {name} CONNECTION LIMIT {connections}")


@pytest.mark.long
def test_a_process_that_is_stopped_finishes_its_task(
    scaled: Callable[..., Probed], redis_url: str, database: PostgreSQL
) -> None:
    project = scaled(redis_url, concurrency=1)
    total = most_connections(project)
    allow(database, total - 4)  # two processes of one slot and a keeper
    with supervised(project) as service:
        service.wait_for(lambda: service.states.count("RUNNING") == 1)
        project.send("hold", "first")
        service.wait_for(lambda: project.notes("first"))
        # More than one process takes soon: the second one starts, and holds on to its task.
        project.send("note", "note", times=3)
        project.send("hold", "second")
        service.wait_for(lambda: "STOPPING" in service.states)
        # It is left alone: it takes no more tasks, and still has its connection.
        project.send("note", "later", times=3)
        service.wait_for(lambda: service.said("jobs: stays at 1: 3 waiting; one more would take"))
        allow(database, total - 2)
        service.wait_for(lambda: service.states == ["RUNNING", "STOPPING", "RUNNING", "STOPPED"])
        service.wait_for(lambda: project.ledger.llen("later") == 3)
        for name in ("first", "second"):
            assert project.notes(name) == ["began"]
            project.ledger.set(f"enough of {name}", 1)
        service.wait_for(lambda: "STOPPING" not in service.states)
        for name in ("first", "second"):
            assert project.notes(name) == ["began", "done"]


@pytest.mark.long
def test_nothing_is_done_while_the_broker_is_silent(
    scaled: Callable[..., Probed], redis_server: Path, tmp_path: Path
) -> None:
    with real_redis(redis_server, tmp_path) as url:
        project = scaled(url)
        tasks = project.project.path / "config" / "settings" / "tasks.py"
        tasks.write_text(tasks.read_text().replace("PUBLISH_TIMEOUT = 5", "PUBLISH_TIMEOUT = 1"))
        with supervised(project) as service:
            service.wait_for(lambda: service.states.count("RUNNING") == 1)
            (server,) = (
                process
                for process in psutil.Process().children(recursive=True)
                if words(process)[:1]
                == [f"{redis_server} {urlsplit(url).netloc.partition('@')[2]}"]
            )
            server.suspend()
            try:
                # One more than an empty queue calls for.
                service.ask("startProcess", "workers:worker-jobs-2", False)
                service.wait_for(lambda: service.said("nothing is done without the broker: "))
                service.wait_for(lambda: service.states.count("RUNNING") == 2)
            finally:
                server.resume()
            service.wait_for(lambda: service.said("2 -> 1 processes"))
            watches = [
                "watches jobs" in line
                for line in service.log
                if re.search("watches jobs|nothing is done", line)
            ]
            # Each time that the broker is missed or back, and not again and again.
            assert len(watches) >= 3
            assert (watches[0], watches[-1]) == (True, True)
            assert not any(a and b for a, b in pairwise(watches))


@pytest.mark.long
def test_no_process_is_started_that_the_database_has_no_connections_for(
    scaled: Callable[..., Probed], redis_url: str, database: PostgreSQL
) -> None:
    project = scaled(redis_url)
    send(project, 50)
    total = most_connections(project)
    with supervised(project, autoscale=False) as service:
        assert service.once("--dry-run")[0].startswith(
            "jobs: 0 -> 4 processes (dry run): 50 waiting, the oldest for "
        )
        assert service.states == ["STOPPED"] * MOST

        environment = {**project.environment}
        project.environment["DATABASE_URL"] = away(environment["DATABASE_URL"])
        assert "stays at 0: 50 waiting" in (said := service.once()[0])
        assert "; the database cannot be asked: " in said
        assert service.states == ["STOPPED"] * MOST
        project.environment = environment

        allow(database, total - 6)  # two processes of two slots and a keeper
        assert service.once()[0].endswith(
            f"; one more would take {total - 3} connections to 'default', "
            f"and its server allows {total - 6}"
        )
        assert service.states[2:] == ["STOPPED"] * 2
        service.wait_for(lambda: service.states[:2] == ["RUNNING"] * 2)
        service.wait_for(lambda: project.ledger.hlen("done") == 50)
        # What runs is left alone, though it would not be started today.
        allow(database, 1)
        assert service.once() == ["autoscale: watches jobs"]
        assert service.states[:2] == ["RUNNING"] * 2


def away(url: str) -> str:
    """Return the URL of a server with another port, where nobody listens."""
    parts = urlsplit(url)
    return url.replace(f":{parts.port}/", f":{port_for.select_random()}/")


READ = """if 1:
    import json
    import time
    from config.queues import WORKERS
    from probe.tasks import note
    from workers.backlog import read
    print(json.dumps(read(WORKERS)))
"""
READ_AGAIN = """
    for _ in range(30):
        found = read(WORKERS)
    print(json.dumps(found))
"""
SEND_TO_REDIS = """
    now = int(time.time())
    note.apply_async(("a",), countdown=60, timestamp=now - 300)
    note.apply_async(("a",), priority=0, timestamp=now - 100)
    note.apply_async(("a",), priority=9, timestamp=now - 200)
"""
SEND_TO_RABBITMQ = """
    note.delay("a")
    note.delay("a")
"""


def read(project: Probed, send: str) -> list[dict[str, Any]]:
    """Return what waits before something is sent, and after it."""
    shell = ["python", "manage.py", "shell", "--verbosity=0", "--command"]
    told = project.run(*shell, READ + send + READ_AGAIN)
    return [json.loads(line) for line in told.splitlines() if line.startswith("{")]


def test_on_redis_every_priority_counts_and_the_oldest_is_known(
    scaled: Callable[..., Probed], redis_url: str
) -> None:
    project = scaled(redis_url)
    before, after = read(project, SEND_TO_REDIS)
    assert before == {"jobs": [0, None]}
    depth, age = after["jobs"]
    # What waits for its time, as it was told to, has not waited for a worker.
    assert (depth, round(age, -1)) == (3, 200)

    # From somebody who does not say when.
    Redis.from_url(project.environment["CELERY_BROKER_URL"]).flushdb()
    project.send("note", "a")
    assert read(project, "")[0] == {"jobs": [1, None]}


def test_on_rabbitmq_a_look_is_no_delivery(
    scaled: Callable[..., Probed], redis_url: str, rabbitmq: str
) -> None:
    project = scaled(redis_url, broker="rabbitmq", broker_url=rabbitmq)
    before, after = read(project, SEND_TO_RABBITMQ)
    assert before == {"jobs": [0, None]}
    assert after == {"jobs": [2, None]}
    with (
        Celery(broker=rabbitmq, set_as_current=False) as app,
        app.connection_for_read() as connection,
        connection.channel() as channel,
    ):
        message = channel.basic_get("jobs")
        assert not message.delivery_info["redelivered"]
        assert message.headers.get("x-delivery-count", 0) == 0
        assert message.properties["timestamp"] > 1_700_000_000


def refused(project: Probed, *options: str) -> str:
    """Return what the command says that refuses to work."""
    return project.refused(".venv/bin/python", "manage.py", "autoscale_workers", *options)


def test_what_cannot_work_is_refused_with_what_to_do(
    scaled: Callable[..., Probed], redis_url: str
) -> None:
    project = scaled(redis_url)
    assert "name the file of its [unix_http_server]: --server unix:///PATH" in refused(project)
    nowhere = "--server=unix:///nowhere"
    assert "use seconds above 0" in refused(project, nowhere, "--interval=0")
    assert "nothing is done without supervisord: " in refused(project, nowhere, "--once")
    project.environment["CELERY_BROKER_URL"] = away(project.environment["CELERY_BROKER_URL"])
    assert "nothing is done without the broker: " in refused(project, nowhere, "--once")


def load() -> Any:
    """Return the module of the decision, without leaving bytecode among the template's files."""
    (path,) = SOURCES.glob("workers/*autoscale.py*")
    module = sys.modules["autoscale"] = ModuleType("autoscale")
    exec(compile(path.read_text(), path, "exec"), module.__dict__)
    return module


autoscale = load()


@pytest.mark.parametrize(
    ("running", "depth", "age", "target", "kind"),
    [
        (0, 0, None, 1, "low"),  # the minimum is there at once
        (0, 90, 1, 4, "low"),  # and more, where more is called for
        (1, 8, 1, 1, ""),  # four slots take these next
        (1, 9, 1, 2, "change"),
        (1, 2_000, 1, 4, "change"),  # not one by one
        (4, 2_000, 1, 4, "high"),
        (1, 1, 31, 2, "change"),  # one that has waited for too long
        (1, 6, 31, 3, "change"),  # a slot for each
        (2, 1, 30, 2, ""),
        (1, 2_000, None, 4, "change"),  # RabbitMQ does not tell the age
        (4, 0, None, 4, ""),  # one look at an empty queue says nothing
    ],
)
def test_what_waits_decides(
    running: int, depth: int, age: float | None, target: int, kind: str
) -> None:
    scale = autoscale.Scale(low=1, high=4, slots=4, interval=5)
    assert scale.decide(running, depth, age)[:2] == (target, kind)


def test_a_worker_shrinks_slowly_and_only_where_next_to_nothing_waits() -> None:
    scale = autoscale.Scale(low=1, high=4, slots=4, interval=5)

    def looks(depth: int) -> list[int]:
        return [scale.decide(4, depth, 1)[0] for _ in range(10)]

    # Four processes have little to do, but three could not take much more.
    assert set(looks(4)) == {4}
    assert looks(3) == [4, 4, *[3] * 8]
    # One look at something that waits begins the row anew.
    scale.decide(4, 4, 1)
    assert looks(3) == [4, 4, *[3] * 8]
    # After a change there is a pause, and it is said.
    scale.since = 0
    assert looks(0) == [*[4] * 5, *[3] * 5]
    scale.since = 0
    assert scale.decide(4, 0, None)[2] == "0 waiting, but cooldown for 25 s more"


def test_a_new_process_has_time_to_take_its_first_tasks() -> None:
    scale = autoscale.Scale(low=1, high=4, slots=4, interval=5, since=0)
    assert scale.decide(2, 2_000, 1)[:2] == (2, "pause")
    assert scale.decide(2, 2_000, 6)[:2] == (4, "change")
