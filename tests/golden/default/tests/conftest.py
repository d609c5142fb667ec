"""What the tests share: real workers, and the project as it is deployed."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dj_database_url
import pytest
from django.db import connections

from config.celery import app
from config.queues import WORKERS

# Each variable that names a database, with its alias.
DATABASES = {
    "DATABASE_URL": "default",
}
START = 120  # seconds that the workers may take


def wait_until(ask: Callable[[], Any], seconds: float) -> Any:
    """Return the first true answer, or fail."""
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {ask}"
        time.sleep(0.1)
    return answer


@pytest.fixture(scope="module")
def worker_environment() -> dict[str, str]:
    """What the workers find in their environment beside the servers. Override it where needed."""
    return {}


@pytest.fixture(scope="module")
def environment(django_db_setup: None, worker_environment: dict[str, str]) -> dict[str, str]:
    """The environment of processes that share the tests' servers."""
    databases = {variable: database_url(variable) for variable in DATABASES}
    return {**os.environ, **databases, **worker_environment}


def database_url(variable: str) -> str:
    """Return the URL of the tests' own database, on the server that a variable names."""
    address, mark, options = os.environ[variable].partition("?")
    server = address.removesuffix(dj_database_url.parse(address)["NAME"])
    return f"{server}{connections[DATABASES[variable]].settings_dict['NAME']}{mark}{options}"


@pytest.fixture(scope="module")
def workers(environment: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Every declared worker, started as in production; yields their `inspect stats` by node."""
    app.control.purge()
    processes = [
        subprocess.Popen([sys.executable, "-m", "workers.run", worker.name], env=environment)
        for worker in WORKERS
    ]

    def stats() -> dict[str, Any] | None:
        answers = app.control.inspect(timeout=1).stats() or {}
        return answers if len(answers) == len(WORKERS) else None

    try:
        yield wait_until(stats, START)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(timeout=START)


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project without its .env, which would fill in what a test leaves out."""
    root = Path(__file__).parents[1]
    copy = tmp_path_factory.mktemp("bare") / "project"
    shutil.copytree(root, copy, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    return copy
