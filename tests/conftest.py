"""Options of the test run, and projects that several tests share."""

import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest
from cookiecutter.environment import StrictEnvironment
from jinja2 import FileSystemBytecodeCache

from tests.baked import OPTIONS, BakedProject, bake
from tests.mariadb import mariadb_program, real_mariadb
from tests.pgbouncer import pgbouncer_program
from tests.servers import (
    postgresql_programs,
    rabbitmq_programs,
    real_postgresql,
    real_rabbitmq,
    real_redis,
    redis_program,
)

# Files of the template are compiled once for all that is rendered in this process.
_compiled = tempfile.TemporaryDirectory(prefix="jinja-")
StrictEnvironment.__init__ = partialmethod(
    StrictEnvironment.__init__, bytecode_cache=FileSystemBytecodeCache(_compiled.name)
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the switches that render the golden trees anew, and that run the whole matrix."""
    parser.addoption("--refresh-golden", action="store_true", help="render tests/golden anew")
    parser.addoption("--matrix", action="store_true", help="run every row of test_matrix.py")


@pytest.fixture(scope="session")
def redis_server() -> Path:
    """The real Redis of this machine."""
    return _installed(redis_program(), "redis-server")


@pytest.fixture(scope="session")
def postgresql() -> Path:
    """The folder of the real PostgreSQL's programs."""
    return _installed(postgresql_programs(), "postgresql")


@pytest.fixture(scope="session")
def pgbouncer() -> Path:
    """The real PgBouncer of this machine."""
    return _installed(pgbouncer_program(), "pgbouncer")


@pytest.fixture(scope="session")
def rabbitmq_server() -> Path:
    """The folder of the real RabbitMQ's programs."""
    return _installed(rabbitmq_programs(), "rabbitmq-server")


@pytest.fixture(scope="session")
def redis_url(redis_server: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL, without a database, of a Redis that the tests of this process share."""
    with real_redis(redis_server, tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(scope="session")
def postgresql_url(postgresql: Path) -> Iterator[str]:
    """The URL of a database on a PostgreSQL that the tests of this process share."""
    with real_postgresql(postgresql, "-c", "max_connections=200") as url:
        yield url


@pytest.fixture
def mariadb() -> Iterator[str]:
    """The URL of an empty database on this machine's real MariaDB."""
    with real_mariadb(_installed(mariadb_program(), "mariadb-server")) as url:
        yield url


@pytest.fixture(scope="session")
def rabbitmq_node(rabbitmq_server: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A RabbitMQ that the tests of this process share."""
    with real_rabbitmq(rabbitmq_server, tmp_path_factory.mktemp("rabbitmq")) as node:
        yield node


@pytest.fixture
def rabbitmq(rabbitmq_node: Any) -> str:
    """The URL of a virtual host of the test's own, on this machine's real RabbitMQ."""
    vhost = f"test-{uuid.uuid4()}"
    rabbitmq_node.rabbitctl_output("add_vhost", vhost)
    rabbitmq_node.rabbitctl_output("set_permissions", "-p", vhost, "guest", ".*", ".*", ".*")
    return f"amqp://guest:guest@127.0.0.1:{rabbitmq_node.port}/{vhost}"


@pytest.fixture(scope="session")
def newest_python() -> Path:
    """The newest interpreter on the PATH or under pyenv, of those that the template supports."""
    # Where pyenv keeps the interpreters: beside the one that runs this, or where it says.
    folders = {Path(sys.base_prefix).parent, Path(os.environ.get("PYENV_ROOT", "/")) / "versions"}
    for version in ("3.14", "3.13", "3.12"):
        installed = [path for folder in folders for path in folder.glob(f"{version}.*/bin/python3")]
        for program in [shutil.which(f"python{version}"), *installed]:
            # A shim of pyenv may stand for a version that is not enabled.
            if program and not subprocess.run([program, "-V"], capture_output=True).returncode:
                return Path(program)
    return Path(sys.executable)


@pytest.fixture
def newer_python(newest_python: Path) -> Path:
    """An interpreter that is new enough for every version of Django on offer."""
    if newest_python == Path(sys.executable) and sys.version_info < (3, 12):
        pytest.skip("Python 3.12 or newer is not installed")
    return newest_python


def _installed(program: Path | None, package: str) -> Path:
    if program is None:
        pytest.skip(f"{package} is not installed: sudo make servers")
    return program


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List what was left out, and why."""
    skipped = terminalreporter.stats.get("skipped", [])
    for report in skipped:
        terminalreporter.line(f"left out: {report.nodeid}: {report.longrepr[2]}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail where something was left out and CI is set."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    if session.config.option.markexpr == "docker" and reporter:
        ran = len(reporter.stats.get("passed", ())) + len(reporter.stats.get("failed", ()))
        reporter.write_line(f"\nDocker tests that ran: {ran}")
        if not ran:
            session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED


@pytest.fixture(scope="session")
def default_project(tmp_path_factory: pytest.TempPathFactory) -> BakedProject:
    """The default answers, set up as its user would."""
    project = bake(tmp_path_factory.mktemp("default"))
    project.run("make", "setup")
    return project


@pytest.fixture(scope="session")
def environments(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The environments made so far, one for each version of Django."""
    return {}


@pytest.fixture(scope="session")
def environment(
    request: pytest.FixtureRequest,
    environments: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Any:
    """Return the environment of a version of Django, on the newest interpreter there is."""

    def environment(version: str) -> Path:
        if version not in environments:
            python = request.getfixturevalue("newest_python")
            oldest = OPTIONS["_django_versions"][version]["python"]
            if subprocess.run([python, "-c", MINIMUM.format(oldest)], check=False).returncode:
                pytest.skip(f"Django {version} needs Python {oldest}; rendered and linted only")
            path = tmp_path_factory.mktemp("environment") / version
            uv = [sys.executable, "-m", "uv"]
            subprocess.run([*uv, "venv", "--quiet", "--python", python, path], check=True)
            install = [*uv, "pip", "install", "--quiet", "--python", str(path / "bin" / "python")]
            subprocess.run([*install, *everything(version)], check=True)
            environments[version] = path
        return environments[version]

    return environment


MINIMUM = "import sys; sys.exit(sys.version_info < tuple(map(int, '{}'.split('.'))))"


def everything(version: str) -> set[str]:
    """Return what any project on a version of Django may require."""
    tables = [
        table for name, table in OPTIONS.items() if isinstance(table, dict) and name[0] == "_"
    ]
    rows = [row for table in tables for row in table.values() if isinstance(row, dict)]
    rows = [row for row in rows if row not in OPTIONS["_django_versions"].values()]
    kinds = ("requirements", "dev_requirements")
    return {
        "deptry",
        *OPTIONS["_requirements"],
        *OPTIONS["_dev_requirements"],
        *OPTIONS["_django_versions"][version]["requirements"],
        *(name for row in rows for kind in kinds for name in row.get(kind, ())),
    }
