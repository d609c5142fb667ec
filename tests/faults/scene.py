"""One cell's project at work: its web, its workers, its load, and what a fault may do to them."""

import json
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import port_for
import psycopg

from tests.baked import BakedProject
from tests.faults import numbers
from tests.faults.brokers import RabbitBroker, RedisBroker
from tests.faults.ledger import Books, Ledger
from tests.faults.programs import MARK, Program, Supervisor, awaited
from tests.faults.projects import QUEUE
from tests.faults.proxy import Proxy
from tests.faults.servers import Servers
from tests.faults.stream import Stream
from tests.pgbouncer import pgbouncer_program, real_pgbouncer


@dataclass(frozen=True)
class Health:
    """What the two probes of the web answered at a time; 0 is no answer."""

    at: float
    lives: int
    ready: int
    missing: str = ""


@dataclass
class Scene:
    """A running project with a steady stream of requests.

    gone: how many processes' tasks the fault has had handed out again, at most.
    extra: how many deliveries it has doubled beside them, at most.
    may_lose: how many ids a degraded cell may lose.
    """

    name: str
    pool: str
    project: BakedProject
    servers: Servers
    broker: RedisBroker | RabbitBroker
    broker_url: str
    database: str
    environment: dict[str, str]
    folder: Path
    url: str
    payments: str
    stream: Stream
    books: Books
    supervisor: Supervisor
    proxies: dict[str, Proxy]
    web: Program
    workers: list[Program]
    beats: list[Program] = field(default_factory=list)
    queues: list[str] = field(default_factory=lambda: [QUEUE])
    healths: list[Health] = field(default_factory=list)
    finals: list[tuple[float, int]] = field(default_factory=list)
    gone: int = 0
    extra: int = 0
    may_lose: int = 0
    bouncer: str = ""  # the URL of its console
    _enough: threading.Event = field(default_factory=threading.Event)

    @property
    def concurrency(self) -> int:
        """How many tasks one worker process has in hand, at most."""
        return numbers.CONCURRENCY[self.pool]

    def arm(self, mishap: str) -> None:
        """Have the next process that passes the moment suffer a mishap; one alone."""
        (self.folder / "armed" / mishap).touch()

    def fired(self, mishap: str, seconds: float = numbers.START) -> None:
        """Wait until it was suffered. Raises AssertionError where it was not."""
        awaited((self.folder / "fired" / mishap).exists, seconds, f"{mishap} did not happen")

    def poison(self) -> str:
        """Have whoever works on an id die of it; return the id, which nobody has asked for yet."""
        key = str(uuid.uuid4())
        (self.folder / "poison" / key).touch()
        return key

    def ledger(self) -> Ledger:
        """Return what the database says; an empty ledger while it is away."""
        try:
            return self.books.rows()
        except psycopg.OperationalError:
            return Ledger()

    def in_flight(self) -> int:
        """Return how many ids are accepted and not final."""
        return len(self.ledger().open())

    def look(self) -> int:
        """Note how many ids are final by now, and return it."""
        ledger = self.ledger()
        count = len(ledger.accepted) - len(ledger.open())
        if ledger.accepted:
            self.finals.append((time.monotonic(), count))
        return count

    def can_pay(self) -> bool:
        """Tell whether the payment service answers."""
        try:
            return httpx.get(f"{self.payments}/charges").is_success
        except httpx.TransportError:
            return False

    def behave(self, **behaviour: Any) -> None:
        """Tell the payment service how to behave."""
        httpx.put(f"{self.payments}/behaviour", json=behaviour).raise_for_status()

    def sessions(self, statement: str = "count(*)") -> int:
        """Return how many sessions the cell's database has; or what else is to be said of them."""
        with psycopg.connect(self.servers.postgresql, autocommit=True) as watcher:
            row = watcher.execute(
                f"SELECT {statement} FROM pg_stat_activity "
                "WHERE datname = %s AND backend_type = 'client backend'".encode(),
                (self.database.rpartition("/")[2],),
            ).fetchone()
        return int(row[0]) if row else 0

    def clients(self) -> int:
        """Return how many sessions the project has: with PgBouncer, where it stands before PostgreSQL."""
        if not self.bouncer:
            return self.sessions()
        name = self.database.rpartition("/")[2]
        # The console knows no prepared statements.
        with psycopg.connect(self.bouncer, autocommit=True, prepare_threshold=None) as console:
            rows = console.execute("SHOW CLIENTS").fetchall()
        return sum(name in row for row in rows)

    def ready(self) -> bool:
        """Tell whether the web can serve."""
        try:
            return httpx.get(f"{self.url}/readyz", timeout=10).status_code == 200
        except httpx.TransportError:
            return False

    def run(self, *command: str, **changes: str) -> str:
        """Run a command of the project."""
        return self.project.run(*command, **{**self.environment, **changes})

    def add_worker(self, name: str = QUEUE) -> Program:
        """Start a further process of a worker, the only kind there is unless a fault has added one."""
        number = 1 + sum(each.name.startswith("worker-") for each in self.supervisor.programs)
        worker = program(self, f"worker-{number}", "workers.run", name, "--process", str(number))
        worker.start()
        self.workers.append(worker)
        self.supervisor.programs.append(worker)
        return worker

    def watch_health(self) -> None:
        """Ask both probes again and again."""
        with httpx.Client(timeout=10) as client:
            while not self._enough.wait(0.4):
                status = {}
                text = ""
                for path in ("/healthz", "/readyz"):
                    try:
                        answer = client.get(f"{self.url}{path}")
                        status[path], text = answer.status_code, answer.text
                    except httpx.TransportError:
                        status[path] = 0
                self.healths.append(
                    Health(time.monotonic(), status["/healthz"], status["/readyz"], text)
                )

    def enough(self) -> None:
        """End what is asked by the way."""
        self._enough.set()

    def until(self, ask: Callable[[], Any], seconds: float, what: str) -> Any:
        """Return the first true answer, and note meanwhile what becomes final."""

        def looking() -> Any:
            self.look()
            return ask()

        return awaited(looking, seconds, what, pause=0.3)

    def rush(self) -> None:
        """Have more come in, until enough is in flight: workers may keep up with the stream."""
        with self._at_rate(numbers.RUSH):
            self.until(
                lambda: self.in_flight() >= numbers.IN_FLIGHT,
                numbers.START,
                f"{numbers.IN_FLIGHT} tasks are in flight",
            )

    def catch_up(self) -> None:
        """Have less come in, until what is in flight is final, for as long as some of it becomes so.

        Or a machine that can just keep up with the stream would never come to an end.
        """
        patience = numbers.REDELIVERY[self.broker.name] + numbers.SETTLE
        left = self.ledger().open()

        def further() -> set[str]:
            return left - self.ledger().open()

        with self._at_rate(numbers.LULL):
            while left:
                left -= self.until(further, patience, f"one of {len(left)} ids is final")

    @contextmanager
    def _at_rate(self, rate: float) -> Iterator[None]:
        usual, self.stream.rate = self.stream.rate, rate
        try:
            yield
        finally:
            self.stream.rate = usual


def program(scene: Scene, name: str, *module: str, **changes: str) -> Program:
    """Return a program of the project that was not started yet."""
    python = str(scene.project.path / ".venv/bin/python")
    return Program(
        name,
        [python, "-m", *module],
        scene.project.path,
        {**scene.project.environment(**scene.environment), **changes},
        scene.folder / f"{name}.log",
    )


@contextmanager
def scene(
    name: str,
    pool: str,
    project: BakedProject,
    servers: Servers,
    broker: RedisBroker | RabbitBroker,
    folder: Path,
    *,
    processes: int,
    environment: Mapping[str, str],
    proxied: frozenset[str],
    patient: bool,
    twice: bool,
    bounced: bool,
) -> Iterator[Scene]:
    """Start everything that a cell needs; end whatever is left of it.

    proxied: of "web" and "workers", who reaches the broker through a proxy, and whether "results" do.
    """
    for below in ("armed", "fired", "poison", "mail"):
        (folder / below).mkdir(parents=True)
    port = port_for.select_random()
    place = broker.place(name)
    beside = [servers.redis.place(name) for _ in range(2)]
    common = {
        MARK: name,
        "CELERY_BROKER_URL": place,
        # Celery prefers this variable to any setting.
        **(
            {"CELERY_RESULT_BACKEND": beside[0]}
            if _answer(project, "result_backend") == "redis"
            else {}
        ),
        "CACHE_URL": beside[1],
        "DJANGO_SECRET_KEY": "0123456789" * 5,
        "DJANGO_ALLOWED_HOSTS": "127.0.0.1",
        "DJANGO_SECURE_SSL_REDIRECT": "false",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "EMAIL_URL": f"file:///{folder}/mail",
        "WEB_BIND": f"127.0.0.1:{port}",
        "FAULT_LEDGER": str(folder),
        "FAULT_POOL": pool,
        **environment,
    }

    def migrate(url: str) -> None:
        given = {**common, "DATABASE_URL": url}
        project.run("python", "manage.py", "migrate", "--verbosity=0", **given)

    with ExitStack() as stack:
        # The answers that add an app, and its tables.
        kind = " ".join(_answer(project, name) for name in ("result_backend", "beat_scheduler"))
        url = stack.enter_context(servers.database(name, kind, migrate))
        payments = stack.enter_context(_payments(project, folder))
        reached = url
        if bounced:
            reached = stack.enter_context(real_pgbouncer(_pgbouncer(), url)).url
        common |= {"DATABASE_URL": reached, "PAYMENT_GATEWAY_URL": payments}
        proxies: dict[str, Proxy] = {}
        for who in proxied:
            target = beside[0] if who == "results" else place
            proxies[who] = stack.enter_context(Proxy(urlsplit(target).port or 0))
        if "results" in proxies:
            common["CELERY_RESULT_BACKEND"] = _moved(beside[0], proxies["results"].port)
        made = Scene(
            name=name,
            pool=pool,
            project=project,
            servers=servers,
            broker=broker,
            broker_url=place,
            database=url,
            environment=common,
            folder=folder,
            url=f"http://127.0.0.1:{port}",
            payments=payments,
            stream=Stream(f"http://127.0.0.1:{port}", patient, twice),
            books=Books(url, payments, folder),
            supervisor=Supervisor(),
            proxies=proxies,
            web=None,  # type: ignore[arg-type] # needs the scene
            workers=[],
            bouncer=f"{reached.rpartition('/')[0]}/pgbouncer" if bounced else "",
        )
        web = {"CELERY_BROKER_URL": _moved(place, proxies["web"].port)} if "web" in proxies else {}
        made.web = program(
            made, "web", "gunicorn", "--config", "python:config.web", "config.wsgi", **web
        )
        if "workers" in proxies:
            made.environment["CELERY_BROKER_URL"] = _moved(place, proxies["workers"].port)
        awaited(made.can_pay, numbers.START, "the payment service is up")
        made.behave(delay=numbers.PAYMENT[pool])
        try:
            made.web.start()
            made.supervisor.programs.append(made.web)
            for _ in range(processes):
                made.add_worker()
            awaited(
                lambda: made.ready() and all(worker.is_ready() for worker in made.workers),
                numbers.START,
                f"the project is up; see {folder}",
            )
            made.supervisor.start()
            threading.Thread(target=made.watch_health, daemon=True).start()
            yield made
        finally:
            made.enough()
            made.supervisor.stop()
            for each in made.supervisor.programs:
                with suppress(ProcessLookupError):
                    os.killpg(each.pid, signal.SIGKILL)
                each.process.wait(10)
            made.stream.stop()


@contextmanager
def _payments(project: BakedProject, folder: Path) -> Iterator[str]:
    """Run the example's stand-in for a payment service, which no fault touches."""
    port = port_for.select_random()
    python = str(project.path / ".venv/bin/python")
    command = [python, "-m", "orders.gateway_stand_in", "--port", str(port)]
    service = Program(
        "payments", command, project.path, project.environment(), folder / "payments.log"
    )
    service.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        service.kill_all()
        service.process.wait(10)


def _pgbouncer() -> Path:
    program = pgbouncer_program()
    if program is None:
        raise SystemExit("pgbouncer is not installed: sudo make servers")
    return program


def _answer(project: BakedProject, name: str) -> str:
    record = json.loads((project.path / ".cookiecutter.json").read_text())
    return str(record.get("answers", record)[name])


def _moved(url: str, port: int) -> str:
    parts = urlsplit(url)
    account = parts.netloc.rpartition("@")[0]
    return parts._replace(netloc=f"{account}@127.0.0.1:{port}").geturl()
