"""Tells whether a worker, beat or Flower still does anything: its own loop says so in a file.

    python -m workers.health io_heavy              exit status 0 where it does
    python -m workers.health io_heavy --process 2  the second of several on one host
    python -m workers.health io_heavy --kill       end it where it does not, to have it restarted
    python -m workers.health                       the only one there is, as in a container

Standard library only, because whoever asks does so again and again.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from config.limits import TASK
from config.queues import WORKERS
from workers.worker import TAKEN

FOLDER = "HEARTBEAT_FOLDER"  # the variable that names it; without it nobody beats
EVERY = 5  # seconds between two beats
# Seconds without one. A worker does not beat while its broker is away, and two minutes of that are
# no reason to end what it is doing.
STALE = 180


def file_of(node: str) -> Path | None:
    """Return the file of a worker on this host, or None where nobody asked for one."""
    folder = os.environ.get(FOLDER)
    return Path(folder) / node if folder else None


def beat(node: str) -> None:
    """Say that this process is alive, if anybody wants to know."""
    if file := file_of(node):
        file.parent.mkdir(parents=True, exist_ok=True)
        # Aside, so that nobody reads half of it.
        aside = file.with_suffix(".new")
        aside.write_text(f"{os.getpid()} {time.monotonic()}")
        aside.replace(file)


def leave(node: str) -> None:
    """Say that this process is about to end by itself, however long that takes."""
    if file := file_of(node):
        file.unlink(missing_ok=True)


def last_beat(file: Path) -> tuple[int, float] | None:
    """Return whose beat was the last one, and how many seconds ago; None where there is none.

    The clock is the host's since its start: the same in each process, and never set.
    """
    try:
        pid, when = file.read_text().split()
    except (FileNotFoundError, ValueError):
        return None
    return int(pid), time.monotonic() - float(when)


def patience(node: str) -> int:
    """Return how many seconds one may stay silent: on solo, each task silences it."""
    pools = {worker.name: worker.pool for worker in WORKERS}
    return STALE + TASK if pools.get(node.partition("-")[0]) == "solo" else STALE


def is_ours(pid: int) -> bool:
    """Tell whether a process is one that beats; the number of a dead one may be somebody else's."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return b"celery" in command or b"workers.run" in command


def wrong_with(file: Path, longest: float, kill: bool) -> str | None:
    """Return what is wrong with one, or None.

    longest: how long it may have been silent. Seconds.
    """
    seen = last_beat(file)
    if seen and seen[1] > longest:
        # It may have been stopped together with us, as a paused container is, and beat next.
        time.sleep(2 * EVERY)
        seen = last_beat(file)
    if seen is None or not is_ours(seen[0]):
        return f"{file.name} is not up"
    pid, silent = seen
    if silent <= longest:
        return None
    wrong = f"{file.name}, PID {pid}, has been silent for {silent:.0f} s"
    if not kill:
        return wrong
    os.kill(pid, signal.SIGKILL)  # a stopped process takes no other signal
    return f"{wrong} and was killed"


def main(argv: Sequence[str] | None = None) -> str | None:
    """Return what is wrong, or None."""
    known = [*(worker.name for worker in WORKERS), *TAKEN]
    parser = argparse.ArgumentParser(prog="python -m workers.health", allow_abbrev=False)
    parser.add_argument("name", nargs="?", help=f"one of: {', '.join(known)}")
    parser.add_argument("--process", type=int, help="its number, of several on one host")
    parser.add_argument("--kill", action="store_true", help="end it where it is silent")
    parser.add_argument("--stale", type=float, help="how many seconds it may be silent")
    options = parser.parse_args(argv)

    if not (folder := os.environ.get(FOLDER)):
        parser.error(f"{FOLDER} is not set: nobody writes down that it is alive")
    if options.name and options.name not in known:
        parser.error(f"nothing is called {options.name!r}; there are: {', '.join(known)}")
    if options.name:
        number = "" if options.process is None else f"-{options.process}"
        files = [Path(folder) / f"{options.name}{number}"]
    else:
        files = [file for file in Path(folder).glob("*") if not file.suffix]
    if not files:
        return "nobody is up"
    longest = [patience(f.name) if options.stale is None else options.stale for f in files]
    wrong = [wrong_with(*each, options.kill) for each in zip(files, longest, strict=True)]
    return "\n".join(filter(None, wrong)) or None


if __name__ == "__main__":
    sys.exit(main())
