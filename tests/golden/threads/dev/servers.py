"""Runs the servers that nobody named, embedded, for as long as a command runs.

    python -m dev.servers python manage.py createsuperuser

What the environment or .env names is used as it is. While `make run` is up, other commands share
its servers.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dotenv import dotenv_values

from dev import postgresql, valkey

ROOT = Path(__file__).resolve().parents[1]
LOCAL = ROOT / ".local"

SERVERS = (postgresql, valkey)
VARIABLES = tuple(name for server in SERVERS for name in server.VARIABLES)


def named() -> dict[str, str]:
    """Return the variables that the environment or .env gives."""
    values = {**dotenv_values(ROOT / ".env"), **os.environ}
    return {name: value for name, value in values.items() if value}


def environment(offers: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a child: what is offered, unless something else is named."""
    return {**offers, **named()}


@contextmanager
def running(folder: Path) -> Iterator[dict[str, str]]:
    """Start in a folder the servers that are not named, and yield their variables and URLs."""
    urls: dict[str, str] = {}
    with ExitStack() as stack:
        for server in SERVERS:
            if not named().keys() >= set(server.VARIABLES):
                urls |= stack.enter_context(server.running(folder))
        yield urls


@contextmanager
def shared() -> Iterator[dict[str, str]]:
    """Yield the embedded servers of this project; start them unless another process has."""
    note = LOCAL / "servers.json"
    if (urls := _offered(note)) is not None:
        yield urls
        return
    LOCAL.mkdir(exist_ok=True)
    with running(LOCAL) as urls:
        note.write_text(json.dumps({"pid": os.getpid(), "urls": urls}))
        try:
            yield urls
        finally:
            note.unlink(missing_ok=True)


def _offered(note: Path) -> dict[str, str] | None:
    """Return the URLs that a running process has written down, or None."""
    try:
        owner = json.loads(note.read_text())
        os.kill(owner["pid"], 0)
    except (OSError, ValueError, KeyError):
        return None
    urls: dict[str, str] = owner["urls"]
    return urls


if __name__ == "__main__":
    with shared() as urls:
        sys.exit(subprocess.run(sys.argv[1:], env=environment(urls), check=False).returncode)
