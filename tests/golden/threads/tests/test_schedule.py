"""config/schedule.py: what the checks refuse of it, and a beat to send it."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from config.celery import app
from config.schedule import SCHEDULE
from tests.conftest import START
from tests.production import python

if not SCHEDULE:
    pytest.skip("config/schedule.py declares nothing", allow_module_level=True)
NAME, ENTRY = next(iter(SCHEDULE.items()))


@contextmanager
def beat(environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Keep a real beat up."""
    command = [sys.executable, "-m", "celery", "-A", "config", "beat"]
    with subprocess.Popen(command, env=environment) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(timeout=START)


def take() -> list[Any]:
    """Take every message that waits in the real broker."""
    taken = []
    with app.connection_for_read() as connection:
        for queue in app.amqp.queues.values():
            while message := queue(connection.default_channel).get(no_ack=True):
                taken.append(message)
    return taken


@pytest.mark.parametrize(
    ("declared", "mistaken", "message"),
    [
        (
            ENTRY["task"],
            "accounts.tasks.nothing",
            "is 'accounts.tasks.nothing', which no worker knows",
        ),
        ('"expires"', '"expire"', "has no `expires`"),
    ],
)
def test_manage_check_refuses_an_entry_that_cannot_work(
    bare: Path, tmp_path: Path, declared: str, mistaken: str, message: str
) -> None:
    project = Path(shutil.copytree(bare, tmp_path / "project"))
    file = project / "config" / "schedule.py"
    file.write_text(file.read_text().replace(declared, mistaken, 1))
    result = python(project, "manage.py", "check")
    assert result.returncode == 1
    assert f"The periodic task {NAME!r} {message}" in result.stderr
