"""Keys and passwords, replaced by the commands of the page while orders come in."""

import json
import os
import re
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
import port_for
import psycopg
import pytest
from mirakuru import TCPExecutor

from tests import docker
from tests.baked import PATIENCE, SOURCES, BakedProject, bake, wait_until
from tests.servers import PASSWORD, rabbitmq_programs, real_postgresql, real_rabbitmq
from tests.supervised import payment_service, supervised
from tests.test_rendered_readme import blocks

QUEUES = "default:prefork:2 io_heavy:gevent:20 email:threads:4"
KEY = "Django's key"
CUSTOMERS = 3  # at once, each with an order a second
HOST = "172.17.0.1"  # this host, as every container reaches it

# By section: what logs in with the variables that it is given, and what it hears where it may not.
LOGINS = {
    "PostgreSQL": (
        "import psycopg; psycopg.connect(given['DATABASE_URL'])",
        "password authentication failed",
    ),
    "MySQL": (
        "from urllib.parse import urlsplit; import pymysql; url = urlsplit(given['DATABASE_URL']); "
        "pymysql.connect(host=url.hostname, port=url.port, user=url.username, password=url.password)",
        "Access denied",
    ),
    "Redis": (
        "from redis import Redis; Redis.from_url(given['CELERY_BROKER_URL']).ping()",
        "invalid username-password pair",
    ),
    "RabbitMQ": (
        "from kombu import Connection; Connection(given['CELERY_BROKER_URL']).connect()",
        "ACCESS_REFUSED",
    ),
    "Flower": (
        "from urllib.request import Request, urlopen; from base64 import b64encode; "
        "known = b64encode(('admin:' + given['FLOWER_PASSWORD']).encode()).decode(); "
        "urlopen(Request(given['flower'], headers={'Authorization': 'Basic ' + known}))",
        "401",
    ),
}
SESSIONS = """
import os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
import django
django.setup()
from django.contrib.auth import get_user_model
from django.test import Client
user = get_user_model().objects.create(username="staff", is_staff=True, is_superuser=True)
for _ in range(2):
    client = Client()
    client.force_login(user)
    print(client.cookies["sessionid"].value)
"""


@dataclass(frozen=True)
class Service:
    """A deployment whose secrets are replaced.

    headers: of every request.
    python: runs Python where the web runs, and returns what it printed.
    flower: the URL of Flower from there.
    charges: returns how many calls asked for each charge.
    """

    project: BakedProject
    url: str
    headers: dict[str, str]
    python: Callable[[str], str]
    flower: str
    charges: Callable[[], list[int]]

    def ask(self, method: str, path: str, headers: dict[str, str], **content: Any) -> Any:
        """Send a request."""
        headers = {**self.headers, **headers}
        url = f"{self.url}{path}"
        return httpx.request(method, url, headers=headers, timeout=PATIENCE, **content)

    def state(self, order: str) -> str:
        """Return the state of an order."""
        return str(self.ask("GET", f"/api/orders/{order}/", {}).json()["state"])

    def variables(self) -> dict[str, str]:
        """Return what processes that start now find in their environment."""
        shown = self.python("import json, os; print(json.dumps(dict(os.environ)))")
        written = variables(self.project)
        return {**json.loads(shown), **written, "flower": self.flower}

    def session(self, cookie: str) -> str | None:
        """Return the session that the admin goes on with, None where it wants a login."""
        answer = self.ask("GET", "/admin/", {"Cookie": f"sessionid={cookie}"})
        assert answer.status_code in (200, 302), answer.text
        renewed = answer.cookies.get("sessionid", cookie)
        return renewed if answer.status_code == 200 else None

    def lets_in(self, section: str, given: dict[str, str]) -> bool:
        """Tell whether a server, once it is up, takes what these variables hold."""
        login, refusal = LOGINS[section]
        code = f"""
given = {given!r}
try:
    {login}
except Exception as error:
    print(error)
else:
    print("in")
"""

        def told() -> str | None:
            answer = self.python(code).strip()
            return answer if answer == "in" or refusal in answer else None

        return bool(wait_until(told, PATIENCE) == "in")


@dataclass
class Orders:
    """Customers who place orders all the time.

    patient: whether they send an order again, with its key, that was not taken on.
    """

    service: Service
    patient: bool
    placed: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    _enough: threading.Event = field(default_factory=threading.Event)
    _customers: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._customers = [threading.Thread(target=self._go_on) for _ in range(CUSTOMERS)]
        for customer in self._customers:
            customer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        for customer in self._customers:
            customer.join()

    def _go_on(self) -> None:
        while not self._enough.wait(1):
            headers = {"Idempotency-Key": str(uuid.uuid4())}
            while not self._place(headers) and self.patient:
                time.sleep(0.2)

    def _place(self, headers: dict[str, str]) -> bool:
        order = {"email": "a@example.com", "amount": "12.50"}
        try:
            answer = self.service.ask("POST", "/api/orders/", headers, json=order)
        except httpx.TransportError as error:
            self.refusals.append(repr(error))
            return False
        if answer.status_code not in (200, 201):
            self.refusals.append(f"{answer.status_code} {answer.text[:300]}")
            return False
        self.placed.append(answer.json()["id"])
        return True


class Terminal:
    """A shell that stays open, as that of somebody who follows a page."""

    def __init__(self, project: BakedProject, **environment: str) -> None:
        self._bash = subprocess.Popen(
            ["bash", "-e", "-o", "pipefail"],
            cwd=project.path,
            env=project.environment(**environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._bash:
            self._bash.kill()

    def run(self, block: str) -> str:
        """Run commands that must succeed, and return what they printed."""
        assert self._bash.stdin
        assert self._bash.stdout
        end = f"-- {uuid.uuid4()}\n"
        self._bash.stdin.write(f"{{\n{block}}} < /dev/null\necho; echo '{end[:-1]}'\n")
        self._bash.stdin.flush()
        printed = ""
        for line in self._bash.stdout:
            if line == end:
                return printed
            printed += line
        pytest.fail(f"{block}\n{printed}")


def variables(project: BakedProject) -> dict[str, str]:
    """Return what `.env` says."""
    lines = (project.path / ".env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if re.match("[A-Z_]+=", line))


def page(project: BakedProject) -> dict[str, list[str]]:
    """Return the commands of the page by section; the first one has no title."""
    text = (project.path / "deploy" / "README.md").read_text()
    (part,) = re.findall(r"^## Replace a key or a password\n(.*?)^## ", text, re.M | re.S)
    sections = (section.partition("\n") for section in f"\n{part}".split("\n### "))
    return {title: blocks(text, "sh") for title, _, text in sections}


def replace_all(service: Service, terminal: Terminal) -> dict[str, dict[str, str]]:
    """Follow the page from its first line to its last; return the variables before each section."""
    used, unused = service.python(SESSIONS).split()[-2:]
    (definitions,), *sections = page(service.project).values()
    titles = list(page(service.project))[1:]
    terminal.run(definitions)
    earlier = {}
    for title, commands in zip(titles, sections, strict=True):
        earlier[title] = before = service.variables()
        if title == KEY:
            first, last = commands
            terminal.run(first)
            renewed = wait_until(lambda: renewal(service, used), PATIENCE)
            terminal.run(last)
            wait_until(lambda: service.session(unused) is None, PATIENCE)
            assert service.session(renewed) == renewed
            continue
        assert service.lets_in(title, before)
        for command in commands:
            terminal.run(command)
        assert not service.lets_in(title, before)
        assert service.lets_in(title, service.variables())
    return earlier


def renewal(service: Service, cookie: str) -> str | None:
    """Return the session that took the place of another one, once it is signed anew."""
    session = service.session(cookie)
    assert session, "somebody was logged out"
    return session if session != cookie else None


def complete(orders: Orders) -> None:
    """Wait until everything that was placed is completed; each was charged for once."""
    placed = set(orders.placed)
    assert len(placed) > 20
    wait_until(lambda: all_completed(orders.service, placed), 120)
    assert orders.service.charges() == [1] * len(placed)


def all_completed(service: Service, orders: Iterable[str]) -> bool:
    """Tell whether orders got through; fail where one of them did not."""
    states = {service.state(order) for order in orders}
    assert "failed" not in states
    return states == {"completed"}


@contextmanager
def lasting_redis(program: Path, folder: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """Run Redis from a file of its own; yield its URL without a database, and what restarts it."""
    port = port_for.select_random()
    (folder / "redis.conf").write_text(
        f"port {port}\nbind 127.0.0.1\ndir {folder}\nappendonly yes\nrequirepass {PASSWORD}\n"
    )
    executor = TCPExecutor([str(program), f"{folder}/redis.conf"], "127.0.0.1", port, timeout=30)

    def restart() -> None:
        executor.stop()
        executor.start()

    with executor:
        yield f"redis://:{PASSWORD}@127.0.0.1:{port}", restart


@contextmanager
def on_a_host(
    project: BakedProject, environment: Path, database: str, redis: str, **others: str
) -> Iterator[Service]:
    """Run a project under supervisord, its variables in `.env`."""
    (project.path / ".venv").symlink_to(environment)
    with (
        payment_service(project) as payments,
        supervised(project, database, redis, payments, written=True, **others) as up,
    ):
        httpx.put(f"{payments}/behaviour", json={"delay": 0.3}, timeout=PATIENCE)
        flower = f"http://127.0.0.1:{variables(project)['FLOWER_PORT']}/flower/"
        yield Service(project, up.url, {}, up.python, flower, up.charges)


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder with a short name, as the path of a socket must be."""
    with tempfile.TemporaryDirectory(prefix="host-") as folder:
        yield Path(folder)


@pytest.mark.long
def test_secrets_are_replaced_on_a_host_without_refusing_an_order(
    environment: Any, postgresql: Path, redis_server: Path, short_folder: Path, tmp_path: Path
) -> None:
    project = bake(short_folder, deployment="supervisor", queues=QUEUES)
    with ExitStack() as stack:
        administrator = stack.enter_context(real_postgresql(postgresql))
        redis, restart_redis = stack.enter_context(lasting_redis(redis_server, tmp_path))
        with psycopg.connect(administrator, autocommit=True) as connection:
            connection.execute(f"CREATE ROLE service LOGIN PASSWORD '{PASSWORD}'")
            connection.execute("CREATE DATABASE service OWNER service")
        server = urlsplit(administrator)
        database = f"postgresql://service:{PASSWORD}@127.0.0.1:{server.port}/service"
        service = stack.enter_context(on_a_host(project, environment("5.2"), database, redis))
        by = {"PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGDATABASE": "postgres"}
        by |= {"PGUSER": "shop", "PGPASSWORD": PASSWORD}
        terminal = stack.enter_context(Terminal(project, **by))
        with Orders(service, patient=False) as orders:
            earlier = replace_all(service, terminal)
        assert orders.refusals == []
        assert list(earlier) == [KEY, "PostgreSQL", "Redis", "Flower"]
        complete(orders)
        # Redis lets those stay who are in: only now must each process show the password that it has.
        restart_redis()
        with Orders(service, patient=True) as later:
            wait_until(lambda: len(later.placed) >= CUSTOMERS, PATIENCE)
        wait_until(lambda: all_completed(service, later.placed), PATIENCE)
        assert service.lets_in("Redis", service.variables())
        assert not service.lets_in("Redis", earlier["Redis"])


@pytest.mark.long
def test_secrets_of_other_servers_are_replaced_on_a_host_without_refusing_an_order(
    environment: Any, mariadb: str, short_folder: Path, tmp_path: Path
) -> None:
    programs = rabbitmq_programs()
    if programs is None:
        pytest.skip("rabbitmq-server is not installed: sudo make servers")
    answers = {"database": "mysql", "broker": "rabbitmq", "queues": QUEUES}
    project = bake(short_folder, deployment="supervisor", **answers)
    administrator = urlsplit(mariadb)
    database = mariadb.replace("shop:", "service:").replace("/shop", "/service")
    # An administrator's own files and programs, as far as the page's commands use them.
    (tmp_path / ".my.cnf").write_text(
        f"[client]\nhost=127.0.0.1\nport={administrator.port}\n"
        f"user=shop\npassword={administrator.password}\n"
    )
    subprocess.run(
        ["mysql", f"--defaults-file={tmp_path}/.my.cnf"],
        input="CREATE DATABASE service CHARACTER SET utf8mb4; DROP USER IF EXISTS ''@localhost; "
        f"CREATE USER service IDENTIFIED BY '{administrator.password}'; "
        "GRANT ALL ON service.* TO service;",
        text=True,
        check=True,
    )
    with real_rabbitmq(programs, tmp_path) as rabbitmq:
        rabbitmq.rabbitctl_output("add_user", "service", PASSWORD)
        rabbitmq.rabbitctl_output("set_permissions", "service", ".*", ".*", ".*")
        broker = f"amqp://service:{PASSWORD}@127.0.0.1:{rabbitmq.port}//"
        node = {name: rabbitmq.envvars[name] for name in ("RABBITMQ_NODENAME", "ERL_EPMD_PORT")}
        given = {"HOME": str(tmp_path), **node}
        (tmp_path / ".erlang.cookie").symlink_to(Path.home() / ".erlang.cookie")
        with (
            on_a_host(
                project, environment("5.2"), database, "", CELERY_BROKER_URL=broker
            ) as service,
            Terminal(project, PATH=f"{programs}:{os.environ['PATH']}", **given) as terminal,
        ):
            with Orders(service, patient=False) as orders:
                earlier = replace_all(service, terminal)
            assert orders.refusals == []
            assert list(earlier) == [KEY, "MySQL", "RabbitMQ", "Flower"]
            complete(orders)


@pytest.fixture(scope="module")
def payments() -> Iterator[Any]:
    with docker.payment_service(SOURCES) as server:
        yield server


@pytest.mark.docker
@pytest.mark.skipif(not docker.has_engine(), reason="no Docker Engine answers `docker info`")
def test_secrets_are_replaced_under_compose_and_what_was_refused_is_sent_again(
    tmp_path: Path, payments: Any
) -> None:
    """One container of the web is away while it is recreated: customers send their orders again."""
    payments.behaviour = {"delay": 0.3}
    with docker.made(tmp_path, ("compose.yaml",), queues=QUEUES) as up:
        docker.configure(
            up,
            COMPOSE_FILE="compose.yaml",
            DJANGO_ALLOWED_HOSTS="shop.example.com",
            DJANGO_BEHIND_TLS_PROXY="true",
            EMAIL_URL="console://",
            PAYMENT_GATEWAY_URL=f"http://{HOST}:{payments.server_port}",
        )
        up.compose("up", "--detach", "--build", "--wait")
        service = Service(
            up.project,
            up.url,
            {"Host": "shop.example.com", "X-Forwarded-Proto": "https"},
            lambda code: up.python("web", code),
            "http://flower:5555/flower/",
            lambda: [charge["calls"] for charge in payments.charges.values()],
        )
        with Terminal(up.project) as terminal, Orders(service, patient=True) as orders:
            earlier = replace_all(service, terminal)
        assert list(earlier) == [KEY, "PostgreSQL", "Redis", "Flower"]
        complete(orders)
