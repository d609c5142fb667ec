"""Real servers of this machine, started for as long as somebody needs them."""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import port_for
from mirakuru import TCPExecutor
from mirakuru.exceptions import ProcessExitedWithError
from pytest_rabbitmq.factories.executor import RabbitMqExecutor

from tests.baked import wait_until

PASSWORD = secrets.token_urlsafe()
# The programs themselves: Debian's command becomes another user where we are root.
RABBITMQ = Path("/usr/lib/rabbitmq/bin")


def redis_program() -> Path | None:
    """Return Redis, or None where it is not installed."""
    found = shutil.which("redis-server")
    return Path(found) if found else None


def postgresql_programs() -> Path | None:
    """Return the folder of the newest PostgreSQL's programs, or None where none is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return found[-1].parent if found else None


def rabbitmq_programs() -> Path | None:
    """Return the folder of RabbitMQ's programs, or None where it is not installed."""
    return RABBITMQ if RABBITMQ.exists() else None


@contextmanager
def real_redis(
    program: Path, folder: Path, *options: str, port: int | None = None
) -> Iterator[str]:
    """Run Redis with a password; yield its URL without a database."""
    port = port or port_for.select_random()
    command = [str(program), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    command += ["--requirepass", PASSWORD, *options]
    with TCPExecutor(command, "127.0.0.1", port, timeout=30):
        yield f"redis://:{PASSWORD}@127.0.0.1:{port}"


@contextmanager
def real_postgresql(programs: Path, *options: str) -> Iterator[str]:
    """Run PostgreSQL with SCRAM; yield the URL of an empty database."""
    with restartable_postgresql(programs, *options) as (url, _):
        yield url


@contextmanager
def restartable_postgresql(
    programs: Path, *options: str
) -> Iterator[tuple[str, Callable[..., None]]]:
    """Run PostgreSQL as `real_postgresql` does; yield what restarts it as well, after a pause."""
    port = port_for.select_random()
    # PostgreSQL refuses to run as root, and cannot enter the folders that pytest makes for root.
    become = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="postgresql-") as name:
        folder = Path(name)
        (folder / "password").write_text(PASSWORD)
        if become:
            shutil.chown(folder, "postgres")
            shutil.chown(folder / "password", "postgres")
        account = f"--username=shop --pwfile={folder}/password --encoding=utf8"
        initdb = f"{programs}/initdb {account} --auth=scram-sha-256 {folder}/data"
        subprocess.run([*become, *initdb.split()], check=True, capture_output=True, cwd="/")
        server = f"{programs}/postgres -D {folder}/data -k {folder} -p {port}"
        command = [*become, *server.split(), *options]
        executor = TCPExecutor(
            command, "127.0.0.1", port, timeout=30, stop_signal=signal.SIGINT, cwd="/"
        )
        # It listens before it lets anybody in.
        ready = [f"{programs}/pg_isready", "--quiet", "--host=127.0.0.1", f"--port={port}"]

        def start() -> None:
            executor.start()
            wait_until(lambda: subprocess.run(ready, check=False).returncode == 0, 30)

        def restart(pause: float = 0) -> None:
            executor.stop()
            time.sleep(pause)
            start()

        start()
        try:
            yield f"postgresql://shop:{PASSWORD}@127.0.0.1:{port}/postgres", restart
        finally:
            executor.stop()


class _RabbitMQ(RabbitMqExecutor):
    """RabbitMQ with a port mapper of its own: a shared one ends with the node that started it."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._timeout = 180  # several start at once
        self._envvars["ERL_EPMD_PORT"] = str(port_for.select_random())


@contextmanager
def real_rabbitmq(programs: Path, folder: Path) -> Iterator[RabbitMqExecutor]:
    """Run RabbitMQ. Its `envvars` are what its own commands need to find it."""
    port, distribution_port = port_for.select_random(), port_for.select_random()
    server = _RabbitMQ(
        str(programs / "rabbitmq-server"),
        "127.0.0.1",
        port,
        distribution_port,
        str(programs / "rabbitmqctl"),
        folder,
        folder,
        folder,
    )
    server.start()
    try:
        yield server
    finally:
        # It ends with the number of the signal that it was stopped by.
        with suppress(ProcessExitedWithError):
            server.stop()
