"""A rendered project, and what a person could do with it."""

import ast
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import port_for
import psutil
import pytest
from click.testing import CliRunner, Result
from cookiecutter.cli import main
from cookiecutter.main import cookiecutter

from scripts.demo import NAMES

TEMPLATE = Path(__file__).resolve().parents[1]
PATIENCE = 60  # seconds that an answer may take on a busy machine
SOURCES = TEMPLATE / "{{cookiecutter.project_slug}}"
OPTIONS = json.loads((TEMPLATE / "cookiecutter.json").read_text())

# Made by the first process of a test run, and known to the others.
if "LENT_ENVIRONMENTS" not in os.environ:
    _folder = tempfile.TemporaryDirectory(prefix="environments-")
    os.environ["LENT_ENVIRONMENTS"] = _folder.name


def bake(folder: Path, **answers: str) -> "BakedProject":
    """Render a project into a folder, in this process."""
    path = cookiecutter(
        str(TEMPLATE),
        no_input=True,
        extra_context=answers,
        output_dir=str(folder),
        default_config=True,
    )
    return BakedProject(Path(path))


def command_line(
    *arguments: str, folder: Path, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the cookiecutter command in a folder that holds its own configuration and replays."""
    (folder / "home").mkdir(parents=True, exist_ok=True)
    return subprocess.run(
        [sys.executable, "-m", "cookiecutter", str(TEMPLATE), *arguments],
        cwd=folder,
        env={**os.environ, "HOME": str(folder / "home")},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )


def in_process(*arguments: str, folder: Path, stdin: str | None = None) -> Result:
    """Run the cookiecutter command as `command_line` does, ten times as fast."""
    folder.mkdir(exist_ok=True)
    options = ["--default-config", "--output-dir", str(folder)]
    return CliRunner().invoke(main, [str(TEMPLATE), *options, *arguments], input=stdin)


def given(**answers: str) -> list[str]:
    """Return the arguments that give these answers on the command line."""
    return ["--no-input", *(f"{name}={answer}" for name, answer in answers.items())]


def replies(**answers: str) -> str:
    """Return what to type at the prompts for these answers: Enter for all others."""
    questions = {name: value for name, value in OPTIONS.items() if not name.startswith("_")}
    assert set(answers) <= set(questions)
    lines = {
        name: str(value.index(answers[name]) + 1) if isinstance(value, list) else answers[name]
        for name, value in questions.items()
        if name in answers
    }
    return "".join(f"{lines.get(name, '')}\n" for name in questions)


def problems(message: str) -> list[str]:
    """Return what a message lists as wrong."""
    return [line[4:] for line in message.splitlines() if line.startswith("  - ")]


def nothing_written(folder: Path) -> bool:
    """Tell whether a folder holds nothing but what `command_line` put there."""
    return not [path.name for path in folder.iterdir() if path.name != "home"]


def wait_until(ask: Callable[[], Any], seconds: float) -> Any:
    """Return the first true answer, or fail."""
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.1)
    return answer


def words(process: psutil.Process) -> list[str]:
    """Return what a process was started with; nothing where it has just ended."""
    with suppress(psutil.Error):
        return process.cmdline()
    return []


@dataclass(frozen=True)
class BakedProject:
    """A rendered project."""

    path: Path

    @property
    def files(self) -> dict[str, bytes]:
        """Every file's content by its path."""
        return {
            path.relative_to(self.path).as_posix(): path.read_bytes()
            for path in sorted(self.path.rglob("*"))
            if path.is_file()
        }

    @property
    def service_name(self) -> str:
        """What the settings say that the service is called."""
        tree = ast.parse((self.path / "config" / "settings" / "base.py").read_text())
        (value,) = (
            node.value
            for node in tree.body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "SERVICE_NAME"
        )
        return str(ast.literal_eval(value))

    def environment(self, **changes: str) -> dict[str, str]:
        """Return an environment that names no server and has the project's programs in front."""
        # Bytecode, or each of its processes would compile Django and Celery anew.
        ours = (*NAMES, "PYTEST_", "PYTHONDONTWRITEBYTECODE")
        outer = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return {
            **outer,
            "PATH": f"{self.path}/.venv/bin:{os.environ['PATH']}",
            # As root, PostgreSQL runs as somebody else, from whom pytest locks its folder away.
            "PYTEST_DEBUG_TEMPROOT": str(self.path.parent),
            "MYPY_CACHE_DIR": f"{self.lent.parent}/mypy{self.metadata['project']['requires-python']}",
            **changes,
        }

    def run(self, *command: str, **changes: str) -> str:
        """Run a command that must succeed, and return what it printed."""
        self.furnish(*command)
        result = subprocess.run(
            command,
            cwd=self.path,
            env=self.environment(**changes),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert result.returncode == 0, f"{command} failed:\n{result.stdout}"
        self.lend(*command)
        return result.stdout

    @contextmanager
    def running(self, **changes: str) -> Iterator["RunningProject"]:
        """Keep `make run` up."""
        self.install()
        port = port_for.select_random()
        log = self.path / "run.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["make", "run", f"PORT={port}"],
                cwd=self.path,
                env=self.environment(**changes),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        service = RunningProject(self, f"http://127.0.0.1:{port}", process, log)
        try:
            service.wait_for(service.is_up, 120)
            yield service
        finally:
            service.interrupt()
            process.wait(timeout=120)
            self.lend("make", "run")

    def install(self) -> None:
        """Have its environment made, which takes as long as it takes."""
        self.furnish("make", "run")
        self.run("make", "setup")

    def furnish(self, *command: str) -> None:
        """Before a command of make's: take the environment of a project that requires the same.

        `make setup` finds it as it was left, bytecode included, and has little to do.
        """
        own = self.path / ".venv"
        lacks = command[0] == "make" and command[1] != "setup" and not own.exists()
        if lacks and self.lent.exists():
            subprocess.run(["cp", "-al", self.lent, own], check=True)

    def lend(self, *command: str) -> None:
        """After a command of make's: let the other tests of this run have the environment."""
        own = self.path / ".venv"
        if command[0] == "make" and own.is_dir() and not own.is_symlink():
            copy = self.lent.with_name(uuid.uuid4().hex)
            if not self.lent.exists():
                subprocess.run(["cp", "-al", own, copy], check=True)
                # Another process may have been as quick.
                with suppress(OSError):
                    copy.rename(self.lent)

    @property
    def lent(self) -> Path:
        """Where the environment of a project that requires the same is kept."""
        project = self.metadata["project"]
        groups = self.metadata["dependency-groups"]
        required = [project["requires-python"], project["dependencies"], groups]
        name = hashlib.sha256(json.dumps(required).encode()).hexdigest()
        return Path(os.environ["LENT_ENVIRONMENTS"]) / name

    @property
    def metadata(self) -> dict[str, Any]:
        """What its pyproject.toml says."""
        return tomllib.loads((self.path / "pyproject.toml").read_text())


@dataclass(frozen=True)
class RunningProject:
    """A project under `make run`."""

    project: BakedProject
    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def wait_for(self, ask: Callable[[], Any], seconds: float) -> Any:
        """Return the first true answer, or fail with the end of the log."""
        deadline = time.monotonic() + seconds
        while not (answer := ask()):
            if self.process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(self.log.read_text(errors="replace")[-5000:])
            time.sleep(0.1)
        return answer

    def is_up(self) -> bool:
        """Tell whether the web answers."""
        try:
            return httpx.get(f"{self.url}/admin/login/", timeout=PATIENCE).is_success
        except httpx.TransportError:
            return False

    def place(self) -> str:
        """Place an order and return its id."""
        order = {"email": "a@example.com", "amount": "12.50"}
        answer = httpx.post(f"{self.url}/api/orders/", json=order, timeout=PATIENCE)
        assert answer.status_code == 201, answer.text
        order_id: str = answer.json()["id"]
        return order_id

    def order(self, order_id: str) -> dict[str, Any]:
        """Return what the API says of an order."""
        url = f"{self.url}/api/orders/{order_id}/"
        order: dict[str, Any] = httpx.get(url, timeout=PATIENCE).json()
        return order

    def finish(self, order_id: str) -> dict[str, Any]:
        """Wait until an order has ended, and return it."""

        def ended() -> dict[str, Any] | None:
            order = self.order(order_id)
            return order if order["state"] in ("completed", "failed") else None

        order: dict[str, Any] = self.wait_for(ended, 60)
        return order

    def manage(self, *command: str) -> str:
        """Run a command on the servers that are up."""
        return self.project.run("python", "-m", "dev.servers", *command)

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, 2)
