"""A service on one host under supervisord, through what happens to it."""

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.baked import PATIENCE, BakedProject, bake, wait_until, words
from tests.probed import postgresql as made_database
from tests.servers import real_redis
from tests.supervised import CONFIGURATION, PASSWORD, Supervised, payment_service, supervised
from tests.test_deployments import DONE_BY_REPORTS, SEND_TO_REPORTS, follow, read_me

QUEUES = "default:prefork:2 io_heavy:gevent:20 email:threads:4"


@pytest.fixture(scope="module")
def service(
    environment: Any, postgresql_url: str, redis_server: Path, tmp_path_factory: Any
) -> Iterator[Supervised]:
    """The example with three kinds of workers, two of the first; every test leaves all running."""
    with (
        # A socket's path must be short.
        tempfile.TemporaryDirectory(prefix="host-") as folder,
        made_database(postgresql_url, "supervised") as database,
        real_redis(redis_server, tmp_path_factory.mktemp("redis")) as redis,
    ):
        project = bake(Path(folder), deployment="supervisor", queues=QUEUES)
        (project.path / ".venv").symlink_to(environment("5.2"))
        declare(project, '"default", ', '"default", processes=2, ')
        configure(project, "numprocs = 1\n", "numprocs = 2\n")
        configure(project, "-m workers.watch", "-m workers.watch --stale 60")
        with (
            payment_service(project) as payments,
            supervised(project, database.url, redis, payments) as up,
        ):
            yield up


def declare(project: BakedProject, old: str, new: str) -> None:
    """Change something in the declaration, once."""
    file = project.path / "config/queues.py"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))


NODES = {"default-1", "default-2", "email-1", "io_heavy-1"}


def asked(url: str, **options: Any) -> int | None:
    """Return the status of a page, None where nothing answers yet."""
    try:
        return httpx.get(url, timeout=PATIENCE, **options).status_code
    except httpx.TransportError:
        return None


def configure(project: BakedProject, old: str, new: str) -> None:
    """Change something in supervisord's configuration, once."""
    file = project.path / CONFIGURATION
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))


def test_an_order_gets_through_workers_that_are_told_apart(service: Supervised) -> None:
    wait_until(lambda: set(service.nodes()) >= NODES, PATIENCE)
    order = service.place()
    wait_until(lambda: service.is_completed(order), PATIENCE)
    assert len({job["worker"] for job in service.order(order)["jobs"]}) >= 2


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize(
    "name",
    ["workers:worker-io_heavy-1", "front:beat"],
)
def test_what_was_killed_or_froze_is_started_again(
    service: Supervised, name: str, number: signal.Signals
) -> None:
    pid, said = service.pid(name), len(service.log("watch"))
    os.kill(pid, number)
    wait_until(lambda: service.pid(name) not in (0, pid), 180)
    wait_until(service.all_run, PATIENCE)
    assert not psutil.pid_exists(pid)
    wait_until(lambda: set(service.nodes()) >= NODES, PATIENCE)
    order = service.place()
    wait_until(lambda: service.is_completed(order), PATIENCE)
    assert ("is silent: killing it" in service.log("watch")[said:]) or number == signal.SIGKILL


@pytest.mark.long
def test_beat_that_freezes_while_it_starts_is_started_again(service: Supervised) -> None:
    pid = service.pid("front:beat")
    os.kill(pid, signal.SIGSTOP)
    # As if it had never got as far as to say that it is alive.
    (service.project.path / "deploy/supervisor/var/heartbeats/beat").unlink(missing_ok=True)
    wait_until(lambda: service.pid("front:beat") not in (0, pid), 180)
    wait_until(service.all_run, PATIENCE)


def test_a_stop_in_the_middle_of_much_loses_nothing(service: Supervised) -> None:
    before = len(service.charges())
    httpx.put(f"{service.payments}/behaviour", json={"delay": 2}, timeout=PATIENCE)
    with ThreadPoolExecutor(8) as customers:
        orders = list(customers.map(lambda _: service.place(), range(80)))
    wait_until(lambda: len(service.charges()) >= before + 10, PATIENCE)
    service.ctl("stop", "workers:*")
    states = {name: state for name, state in service.status().items() if "worker" in name}
    assert set(states.values()) == {"STOPPED"}
    assert len(service.charges()) < before + len(orders)
    service.ctl("start", "workers:*")
    wait_until(lambda: all(service.is_completed(order) for order in orders), 180)
    # Each was asked for once: those that were running had been waited for.
    assert service.charges()[before:] == [1] * len(orders)
    httpx.put(f"{service.payments}/behaviour", json={}, timeout=PATIENCE)


def test_flower_asks_for_a_password(service: Supervised) -> None:
    url = f"http://127.0.0.1:{service.environment['FLOWER_PORT']}/flower/"
    # supervisord says RUNNING seconds before Flower has a page.
    wait_until(lambda: asked(url) is not None, PATIENCE)
    assert asked(url) == 401

    def shows_the_workers() -> bool:
        shown = httpx.get(url, auth=("admin", PASSWORD), timeout=PATIENCE)
        assert shown.status_code == 200
        return "default-1@" in shown.text

    wait_until(shows_the_workers, PATIENCE)
    listening = {
        each.laddr.ip
        for each in psutil.Process(service.pid("front:flower")).net_connections()
        if each.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


@pytest.mark.long
def test_flower_starts_while_workers_are_down_but_not_without_a_password(
    service: Supervised,
) -> None:
    url = f"http://127.0.0.1:{service.environment['FLOWER_PORT']}/flower/"

    service.ctl("stop", "workers:*")
    service.ctl("restart", "front:flower")
    wait_until(lambda: asked(url, auth=("admin", PASSWORD)) == 200, PATIENCE)
    service.ctl("start", "workers:*")
    command = ["-m", "celery", "-A", "config", "flower", "--conf=config/flower.py"]
    told = subprocess.run(
        [".venv/bin/python", *command],
        cwd=service.project.path,
        env={**os.environ, **service.environment, "FLOWER_PASSWORD": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode
    assert told.stderr == "Cannot start: FLOWER_PASSWORD is not set. See .env.example.\n"


def test_no_argument_holds_a_secret(service: Supervised) -> None:
    secrets = [PASSWORD, "0123456789" * 5]
    secrets += [re.sub(r".*:(.*)@.*", r"\1", service.environment["DATABASE_URL"])]
    lines = [" ".join(words(each)) for each in service.daemon.children(recursive=True)]
    assert len(lines) > 8
    assert not [line for line in lines for secret in secrets if secret in line]


def test_nobody_else_may_command_supervisord(service: Supervised) -> None:
    socket = service.project.path / "deploy/supervisor/var/supervisor.sock"
    assert socket.stat().st_mode & 0o777 == 0o700


@pytest.mark.long
def test_a_worker_that_is_added_as_the_readme_says_takes_tasks(service: Supervised) -> None:
    for step in read_me(service.project):
        follow(service.project, step)
    service.ctl("update")
    wait_until(lambda: "reports-1" in service.nodes(), PATIENCE)
    service.python(SEND_TO_REPORTS)
    wait_until(lambda: DONE_BY_REPORTS.search(service.log("worker-reports-1")), PATIENCE)
