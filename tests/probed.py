"""A rendered project with the tasks of tests/probe, its workers, and what its database sees of them."""

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import psutil
import psycopg
import pymysql
from celery import Celery
from redis import Redis

from tests.baked import BakedProject, bake
from tests.pgbouncer import PgBouncer

PROBE = Path(__file__).parent / "probe"
# Not the server's own, such as autovacuum.
SESSIONS = "FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'"
KEEPER = 10  # seconds between two turns of a keeper
LEDGER = 9  # the number of the Redis database that tasks write down their starts in


class Watched(Protocol):
    """A database that tells how many connections workers open."""

    @property
    def url(self) -> str:
        """What the project connects to."""

    @property
    def opened(self) -> int:
        """How many were opened so far."""

    @property
    def open(self) -> int:
        """How many are open."""


@dataclass(frozen=True)
class PostgreSQL:
    """One database of a PostgreSQL server, watched from another one."""

    url: str
    watcher: "psycopg.Connection[Any]"

    def ask(self, statement: str) -> int:
        """Return a number that the server says of the database, whose name is `%s`."""
        name = self.url.rpartition("/")[2]
        row = self.watcher.execute(statement, (name,)).fetchone()
        return int(row[0]) if row else 0

    @property
    def opened(self) -> int:
        """How many sessions were established so far."""
        return self.ask("SELECT sessions FROM pg_stat_database WHERE datname = %s")

    @property
    def open(self) -> int:
        """How many sessions there are."""
        return self.ask(f"SELECT count(*) {SESSIONS}")

    def terminate(self) -> int:
        """Terminate every session; return how many there were."""
        return self.ask(f"SELECT count(pg_terminate_backend(pid)) {SESSIONS}")


@contextmanager
def postgresql(server: str, name: str) -> Iterator[PostgreSQL]:
    """Make a database on a server, given by the URL of another of its databases."""
    with psycopg.connect(server, autocommit=True) as watcher:
        watcher.execute(f"CREATE DATABASE {name}")
        yield PostgreSQL(f"{server.rpartition('/')[0]}/{name}", watcher)
        watcher.execute(f"DROP DATABASE {name} WITH (FORCE)")


@dataclass(frozen=True)
class MariaDB:
    """A MariaDB server, which counts connections itself."""

    url: str
    watcher: Any

    def status(self, name: str) -> int:
        """Return a number that the server keeps."""
        with self.watcher.cursor() as cursor:
            cursor.execute("SHOW GLOBAL STATUS LIKE %s", (name,))
            return int(cursor.fetchone()[1])

    @property
    def opened(self) -> int:
        """How many were opened so far."""
        return self.status("Connections")

    @property
    def open(self) -> int:
        """How many are open, but for the watcher's."""
        return self.status("Threads_connected") - 1

    def terminate(self) -> int:
        """Kill every other session; return how many there were."""
        with self.watcher.cursor() as cursor:
            cursor.execute("SELECT id FROM information_schema.processlist WHERE user = 'shop'")
            others = {row[0] for row in cursor.fetchall()} - {self.watcher.thread_id()}
            for session in others:
                cursor.execute(f"KILL {int(session)}")
        return len(others)


@contextmanager
def mariadb(url: str) -> Iterator[MariaDB]:
    """Watch the server of a database."""
    parts = urlsplit(url)
    watcher = pymysql.connect(
        host=parts.hostname, port=parts.port, user=parts.username, password=parts.password
    )
    watcher.autocommit(True)
    with watcher:
        yield MariaDB(url, watcher)


@dataclass(frozen=True)
class Bouncing:
    """A database behind PgBouncer: what workers open are connections to PgBouncer."""

    url: str
    bouncer: PgBouncer
    console: "psycopg.Connection[Any]"

    @property
    def opened(self) -> int:
        """How many clients have logged in so far."""
        return self.bouncer.logins

    @property
    def open(self) -> int:
        """How many clients there are, but for this console."""
        return len(self.console.execute("SHOW CLIENTS").fetchall()) - 1


@contextmanager
def bouncing(bouncer: PgBouncer, database: PostgreSQL) -> Iterator[Bouncing]:
    """Put PgBouncer before a database."""
    server = bouncer.url.rpartition("/")[0]
    # The console knows no prepared statements.
    with psycopg.connect(f"{server}/pgbouncer", autocommit=True, prepare_threshold=None) as console:
        yield Bouncing(f"{server}/{database.url.rpartition('/')[2]}", bouncer, console)


@dataclass
class Sqlite:
    """A file, and the processes that have it open."""

    path: Path
    processes: list[psutil.Process] = field(default_factory=list)
    opened: int = 0  # nobody counts them

    @property
    def url(self) -> str:
        """Its URL."""
        return f"sqlite:///{self.path}"

    @property
    def open(self) -> int:
        """How often it is open."""
        found = 0
        for process in self.processes:
            for each in [process, *process.children(recursive=True)]:
                found += sum(file.path == str(self.path) for file in each.open_files())
        return found


@dataclass
class Probed:
    """A rendered project at work.

    environment: what its processes run with.
    ledger: what its tasks write down.
    """

    project: BakedProject
    environment: dict[str, str]
    ledger: Any
    log: Path
    worker: subprocess.Popen[bytes] | None = None
    started: float = 0

    def run(self, *command: str) -> str:
        """Run a command that must succeed, and return what it printed."""
        return self.project.run(*command, **self.environment)

    def declare(self, old: str, new: str) -> None:
        """Change something in config/queues.py."""
        declaration = self.project.path / "config" / "queues.py"
        text = declaration.read_text()
        assert old in text
        declaration.write_text(text.replace(old, new))

    def refused(self, *command: str) -> str:
        """Run a command that must fail without a traceback, and return what it printed."""
        result = subprocess.run(
            command,
            cwd=self.project.path,
            env=self.project.environment(**self.environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert result.returncode, result.stdout
        assert "Traceback" not in result.stdout
        return result.stdout

    def send(self, task: str, *arguments: object, times: int = 1, **options: Any) -> None:
        """Send a task so many times, as another service would. Options: of Celery's send_task."""
        with Celery(broker=self.environment["CELERY_BROKER_URL"], set_as_current=False) as sender:
            for _ in range(times):
                sender.send_task(f"probe.tasks.{task}", arguments, **self.address, **options)

    def touch(self, times: int, pause: float = 0, **options: Any) -> None:
        """Send so many tasks that ask the database twice, each with a number of its own.

        Options: of Celery's send_task.
        """
        with Celery(broker=self.environment["CELERY_BROKER_URL"], set_as_current=False) as sender:
            for number in range(times):
                sender.send_task("probe.tasks.touch", (number, pause), **self.address, **options)

    @property
    def address(self) -> dict[str, str]:
        """Where the worker's tasks are sent to: on RabbitMQ by way of the project's exchange."""
        if self.environment["CELERY_BROKER_URL"].startswith("amqp"):
            return {"exchange": "tasks", "routing_key": "jobs"}
        return {"queue": "jobs"}

    @contextmanager
    def working(self, name: str = "jobs") -> Iterator[psutil.Process]:
        """Keep a worker up, started as in production."""
        self.started = time.monotonic()
        with self.log.open("wb") as output:
            process = psutil.Popen(
                [str(self.project.path / ".venv/bin/python"), "-m", "workers.run", name],
                cwd=self.project.path,
                env=self.project.environment(**self.environment),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            self.wait_for(lambda: " ready." in self.output(), process)
            yield process
        finally:
            with suppress(psutil.NoSuchProcess):  # a test may have ended it
                process.terminate()
            try:
                process.wait(timeout=60)
            except psutil.TimeoutExpired:
                for each in [process, *process.children(recursive=True)]:
                    each.kill()
                raise

    def output(self) -> str:
        """Return what the worker has said so far."""
        return self.log.read_text(errors="replace")

    def wait_for(self, ask: Callable[[], Any], process: psutil.Process, seconds: float = 60) -> Any:
        """Return the first true answer, or fail with the end of the worker's log."""
        deadline = time.monotonic() + seconds
        while not (answer := ask()):
            alive = process.is_running() and process.status() != psutil.STATUS_ZOMBIE
            assert alive, self.output()[-5000:]
            assert time.monotonic() < deadline, self.output()[-5000:]
            time.sleep(0.02)
        return answer

    def notes(self, name: str) -> list[str]:
        """Return what tasks have noted under a name."""
        return [str(note) for note in self.ledger.lrange(name, 0, -1)]

    def budget(self) -> int:
        """Return the most connections of the worker, as the project's own command has it."""
        table = self.run("python", "manage.py", "connection_budget")
        # The keeper's, where the pool of the process does not lend it one.
        found = dict(re.findall(r"^(jobs|keepers) +\d+ +\d+ +(\d+)", table, re.MULTILINE))
        return int(found["jobs"]) + int(found.get("keepers", 0))

    def turns(self) -> int:
        """Return how often the keeper may have opened a connection since the worker was started."""
        # Two chores each time, and one more in the beginning.
        return 2 * (int((time.monotonic() - self.started) / KEEPER) + 1) + 1


def probed(
    folder: Path,
    interpreter: Path,
    url: str,
    redis: str,
    *,
    broker_url: str = "",
    **answers: str,
) -> Probed:
    """Render a project, add the tasks of tests/probe, and migrate its database.

    interpreter: the folder of an environment that has what any project requires.
    url: what it connects to.
    redis: a server's URL, without a database.
    broker_url: the broker's, where it is no database of that one.
    """
    project = bake(folder, project_slug="shop", task_routes="", example_app="false", **answers)
    shutil.copytree(PROBE, project.path / "probe", ignore=shutil.ignore_patterns("__pycache__"))
    base = project.path / "config" / "settings" / "base.py"
    base.write_text(
        base.read_text().replace('    "accounts",\n', '    "accounts",\n    "probe",\n')
    )
    (project.path / ".venv").symlink_to(interpreter)
    project.run("python", "-m", "dev.setup")
    environment = {
        "DATABASE_URL": url,
        "CELERY_BROKER_URL": broker_url or f"{redis}/0",
        "CELERY_RESULT_BACKEND": f"{redis}/1",
        "CACHE_URL": f"{redis}/2",
        "LEDGER_URL": f"{redis}/{LEDGER}",
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }
    ledger = Redis.from_url(environment["LEDGER_URL"], decode_responses=True)
    ledger.flushall()
    made = Probed(project, environment, ledger, folder / "worker.log")
    made.run("python", "manage.py", "migrate", "--verbosity=0")
    return made
