"""A service under Docker Compose, through what happens to it. `make test-docker` runs it."""

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.baked import OPTIONS, PATIENCE, SOURCES, bake, wait_until
from tests.docker import Composed, composed, configure, has_engine, made, payment_service
from tests.test_deployments import (
    COMPOSED,
    DONE_BY_REPORTS,
    SEND_TO_REPORTS,
    follow,
    read_me,
)
from tests.test_pairs import shown

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(not has_engine(), reason="no Docker Engine answers `docker info`"),
]

QUEUES = "default:prefork:2 io_heavy:gevent:20 email:threads:4"
STALE = 20  # seconds
GRACE = 390  # seconds; config/limits.py
LARGEST = 120  # MB above the base image


@pytest.fixture(scope="module", params=OPTIONS["broker"])
def broker(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def payments() -> Iterator[Any]:
    with payment_service(SOURCES) as server:
        yield server


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, broker: str, payments: Any
) -> Iterator[Composed]:
    """The example on a broker, as in production; every test leaves all of it up."""
    url = f"http://{this_host()}:{payments.server_port}"
    folder = tmp_path_factory.mktemp(broker)
    with composed(folder, url, STALE, broker=broker, queues=QUEUES) as up:
        yield up


def this_host() -> str:
    """Return the address of this host, as containers reach it."""
    addresses = psutil.net_if_addrs()["docker0"]
    return next(each.address for each in addresses if each.family == socket.AF_INET)


def charged(payments: Any) -> list[int]:
    """Return how many calls asked for each charge."""
    return [charge["calls"] for charge in payments.charges.values()]


def test_everything_becomes_healthy_and_an_order_gets_through(service: Composed) -> None:
    states = {name: service.inspect(name)[0]["State"] for name in service.services}
    assert {"web", "beat", "flower", "migrate", "worker-default", "postgresql"} <= states.keys()
    for name, state in states.items():
        if name == "migrate":
            assert (state["Status"], state["ExitCode"]) == ("exited", 0)
        else:
            assert (name, state["Health"]["Status"]) == (name, "healthy")
    order = service.place()
    wait_until(lambda: service.is_completed(order), PATIENCE)
    workers = {job["worker"].partition("@")[2] for job in service.order(order)["jobs"]}
    hosts = {service.inspect(f"worker-{name}")[0]["Config"]["Hostname"] for name in names()}
    assert len(workers) >= 2
    assert workers <= hosts


def names() -> list[str]:
    """Return the names of the workers."""
    return [word.partition(":")[0] for word in QUEUES.split()]


def test_scaling_gives_workers_that_are_told_apart(service: Composed) -> None:
    service.compose("up", "--detach", "--wait", "--no-recreate", "--scale=worker-email=3")
    wait_until(lambda: sum(node.startswith("email@") for node in service.nodes()) == 3, PATIENCE)
    service.compose("up", "--detach", "--wait", "--no-recreate", "--scale=worker-email=1")


def test_beat_cannot_be_scaled(service: Composed) -> None:
    told = subprocess.run(
        ["docker", "compose", "--file=compose.yaml", "up", "--detach", "--scale=beat=2", "beat"],
        cwd=service.project.path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode
    assert len(service.inspect("beat")) == 1


@pytest.mark.parametrize(
    ("name", "number"), [("default", "KILL"), ("default", "STOP"), ("io_heavy", "STOP")]
)
def test_a_worker_that_was_killed_or_froze_is_started_again(
    service: Composed, name: str, number: str
) -> None:
    (before,) = service.inspect(f"worker-{name}")
    service.signal_main(f"worker-{name}", number)

    def is_up_again() -> bool:
        (after,) = service.inspect(f"worker-{name}")
        if after["RestartCount"] == before["RestartCount"]:
            return False
        return str(after["State"]["Health"]["Status"]) == "healthy"

    wait_until(is_up_again, STALE + 120)
    wait_until(lambda: len(service.nodes()) == 3, PATIENCE)
    order = service.place()
    wait_until(lambda: service.is_completed(order), PATIENCE)


def test_a_stop_in_the_middle_of_much_loses_nothing(service: Composed, payments: Any) -> None:
    before = len(charged(payments))
    payments.behaviour = {"delay": 3}
    with ThreadPoolExecutor(8) as customers:
        orders = list(customers.map(lambda _: service.place(), range(80)))
    wait_until(lambda: len(charged(payments)) >= before + 10, PATIENCE)
    began = time.monotonic()
    service.compose("stop")
    assert time.monotonic() - began < GRACE
    assert len(charged(payments)) < before + len(orders)
    stopped = [service.inspect(f"worker-{name}")[0]["State"] for name in names()]
    # 137 would be a worker that was killed.
    assert [state["ExitCode"] for state in stopped] == [0] * len(stopped)
    payments.behaviour = {}
    service.compose("up", "--detach", "--wait")
    wait_until(lambda: all(service.is_completed(order) for order in orders), 120)
    # Each was asked for once: those that were running had been waited for.
    assert charged(payments)[before:] == [1] * len(orders)


def test_flower_asks_for_a_password_and_is_not_reached_from_outside(service: Composed) -> None:
    ask = """
from urllib import request, error
import base64, os
def status(**headers):
    try:
        return request.urlopen(request.Request("http://flower:5555/flower/", headers=headers)).status
    except error.HTTPError as answer:
        return answer.code
known = base64.b64encode(("admin:" + os.environ["FLOWER_PASSWORD"]).encode()).decode()
print(status(), status(Authorization="Basic " + known))
"""
    assert service.python("web", ask).split() == ["401", "200"]
    (flower,) = service.inspect("flower")
    assert not any(flower["NetworkSettings"]["Ports"].values())
    networks = flower["NetworkSettings"]["Networks"]
    # Its broker may be elsewhere.
    assert sorted(re.sub(r".*_", "", name) for name in networks) == ["outside", "servers"]


def test_nothing_but_the_web_is_published_and_nobody_has_a_right_too_many(
    service: Composed,
) -> None:
    for name in service.services:
        for container in service.inspect(name):
            host = container["HostConfig"]
            assert (name, host["CapDrop"]) == (name, ["ALL"])
            assert host["SecurityOpt"] == ["no-new-privileges:true"]
            published = host["PortBindings"]
            assert bool(published) == (name == "web")
            assert all(port["HostIp"] == "127.0.0.1" for [port] in published.values())
            if container["Config"]["Image"].startswith("shop-"):
                assert not host["CapAdd"]
                assert host["ReadonlyRootfs"]
                assert container["Config"]["User"] == "10001:10001"
            assert host["Memory"]
            assert host["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "5"}


def test_servers_let_in_nobody_without_a_password(service: Composed, broker: str) -> None:
    def inside(*command: str) -> str:
        return service.compose("exec", "--no-TTY", *command)

    if broker == "redis":
        assert "NOAUTH" in inside("redis", "env", "--unset=REDISCLI_AUTH", "redis-cli", "ping")
    else:
        users = inside("rabbitmq", "rabbitmqctl", "--quiet", "list_users")
        assert "service" in users
        assert "guest" not in users
    rules = "SELECT DISTINCT auth_method FROM pg_hba_file_rules WHERE type <> 'local' AND address = 'all'"
    psql = ["psql", "--username=service", "--tuples-only", "--no-align", "--command", rules]
    assert inside("postgresql", *psql).split() == ["scram-sha-256"]
    assert inside("postgresql", *psql[:-1], "SHOW password_encryption").split() == ["scram-sha-256"]


def test_no_secret_is_in_an_image_an_argument_or_a_log(service: Composed) -> None:
    text = (service.project.path / ".env").read_text()
    secrets = re.findall(r"^[A-Z_]*(?:KEY|PASSWORD|SECRET)=(.+)$", text, re.MULTILINE)
    assert len(secrets) >= 4
    image = service.inspect("web")[0]["Image"]
    layers = subprocess.run(
        ["docker", "history", "--no-trunc", image], capture_output=True, text=True, check=True
    ).stdout
    kept = service.compose("run", "--rm", "--no-deps", "web", "ls", "--almost-all", "/app").split()
    assert ".env" not in kept
    assert {"config", "workers", "manage.py"} <= set(kept)
    assert not {"dev", "tests", ".git", ".venv"} & set(kept)
    arguments = service.compose("top")
    logs = service.compose("logs", "--no-color")
    for secret in secrets:
        for place in (layers, arguments, logs):
            assert secret not in place


def test_the_image_is_small(service: Composed) -> None:
    base = f"python:{OPTIONS['python_version'][0]}-slim"
    image = service.inspect("web")[0]["Image"]
    shown = subprocess.run(["docker", "inspect", base, image], capture_output=True, check=True)
    of_base, of_image = (each["Size"] / 1e6 for each in json.loads(shown.stdout))
    assert of_image - of_base <= LARGEST
    tools = (
        "import importlib.util as u; print([n for n in ('uv', 'mypy', 'pytest') if u.find_spec(n)])"
    )
    assert service.python("web", tools).strip() == "[]"


def test_a_worker_that_is_added_as_the_readme_says_takes_tasks(service: Composed) -> None:
    for step in read_me(service.project):
        follow(service.project, step)
    service.compose("up", "--detach", "--build", "--wait")
    wait_until(lambda: any(node.startswith("reports@") for node in service.nodes()), PATIENCE)
    service.python("web", SEND_TO_REPORTS)
    wait_until(lambda: DONE_BY_REPORTS.search(service.compose("logs", "worker-reports")), PATIENCE)


@pytest.mark.parametrize("given", COMPOSED, ids=shown)
def test_compose_understands_the_files(tmp_path: Path, given: dict[str, str]) -> None:
    project = bake(tmp_path, **given, project_slug="shop")
    project.run(sys.executable, "-m", "dev.setup")
    assert project.run("docker", "compose", "config", "--quiet") == ""
    assert project.run("docker", "compose", "--file=compose.yaml", "config", "--quiet") == ""


def test_developers_see_their_changes_at_once(tmp_path: Path) -> None:
    files = ("compose.yaml", "compose.override.yaml")
    with made(tmp_path, files, queues="default:threads:4", use_flower="false") as up:
        configure(up, DJANGO_ALLOWED_HOSTS="shop.example.com")
        up.compose("up", "--detach", "--build", "--wait")
        order = up.place()
        wait_until(lambda: up.is_completed(order), PATIENCE)
        tasks = up.project.path / "accounts" / "tasks.py"
        tasks.write_text(f"{tasks.read_text()}\n\n@shared_task\ndef added():\n    pass\n")
        code = "from config.celery import app; print(app.control.inspect(timeout=3).registered())"
        wait_until(lambda: "accounts.tasks.added" in up.python("web", code), PATIENCE)
        # Not before: gunicorn looks each second, and misses what changes before its first look.
        urls = up.project.path / "config" / "urls.py"
        urls.write_text(urls.read_text().replace('"admin/"', '"staff/"'))
        headers = {"Host": "shop.example.com"}

        def moved() -> bool:
            try:
                answer = httpx.get(f"{up.url}/staff/login/", headers=headers, timeout=PATIENCE)
            except httpx.TransportError:
                return False
            return answer.status_code == 200

        wait_until(moved, PATIENCE)
