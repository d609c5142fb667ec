"""Runs the servers that nobody named, embedded, for as long as a command runs.

    python -m dev.servers python manage.py createsuperuser

What the environment or .env names is used as it is. While `make run` is up, other commands share
its servers.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dotenv import dotenv_values

from dev.stack import SERVERS

ROOT = Path(__file__).resolve().parents[1]
LOCAL = ROOT / ".local"

VARIABLES = tuple(name for server in SERVERS for name in server.VARIABLES)


class InUseError(Exception):
    """Another process holds the servers. Its number and their URLs are in the arguments."""


def named() -> dict[str, str]:
    """Return the variables that the environment or .env gives."""
    values = {**dotenv_values(ROOT / ".env"), **os.environ}
    return {name: value for name, value in values.items() if value}


def environment(offers: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a child: what is offered, unless something else is named."""
    return {**offers, **named()}


@contextmanager
def running(
    folder: Path, given: Mapping[str, str], hold: tuple[int, ...] = ()
) -> Iterator[dict[str, str]]:
    """Start in a folder the servers that are not given; yield every server's variables.

    hold: file descriptors that the servers keep open as long as they live.
    """
    urls = {name: given[name] for name in VARIABLES if name in given}
    with ExitStack() as stack:
        for server in SERVERS:
            if not urls.keys() >= set(server.VARIABLES):
                urls = stack.enter_context(server.running(folder, hold)) | urls
        yield urls


@contextmanager
def owned() -> Iterator[dict[str, str]]:
    """Run this project's servers.

    Raises InUseError where another process does: two servers on the same data would ruin it.
    """
    LOCAL.mkdir(exist_ok=True)
    note = LOCAL / "servers.json"
    with (LOCAL / "lock").open("w") as lock:
        try:
            # Not a file with a PID in it, which would outlive a process that was killed.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InUseError(*json.loads(note.read_text())) from None
        note.write_text(json.dumps([os.getpid(), {}]))
        # The servers hold the lock as well: they outlive this process where it is killed.
        with running(LOCAL, named(), hold=(lock.fileno(),)) as urls:
            note.write_text(json.dumps([os.getpid(), urls]))
            yield urls


@contextmanager
def shared() -> Iterator[dict[str, str]]:
    """Yield the servers of the process that owns them, or run them."""
    with ExitStack() as stack:
        try:
            urls = stack.enter_context(owned())
        except InUseError as in_use:
            owner, urls = in_use.args
            if not urls:
                raise SystemExit(f"PID {owner} is just starting the servers; try again.") from None
        yield urls


def main() -> int:
    """Run a command beside the servers, and return its exit status."""
    with shared() as urls, subprocess.Popen(sys.argv[1:], env=environment(urls)) as command:
        # Ctrl-C reaches the command as well, and the servers stay until it has ended its own way.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: command.terminate())
        return command.wait()


if __name__ == "__main__":
    sys.exit(main())
