"""Starts workers as config/queues.py declares them.

    python -m workers.run io_heavy              become that worker
    python -m workers.run io_heavy --process 2  the second of several on one host
    python -m workers.run io_heavy --print      show the command instead
    python -m workers.run --all                 every declared worker, under supervisord

Standard library only, so that the command is there before Django and Celery are.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence

from config.queues import WORKERS
from workers import health, supervise
from workers.worker import Worker


def node(worker: Worker, process: int | None = None) -> str:
    """Return the name of a worker on its host.

    process: its number, where several run on one host: node names must differ, or remote control
        and monitoring see one worker.
    """
    return worker.name if process is None else f"{worker.name}-{process}"


def command(worker: Worker, process: int | None = None) -> list[str]:
    """Return the Celery command of a worker."""
    match worker.concurrency:
        case (low, high):
            size = f"--autoscale={high},{low}"
        case number:
            size = f"--concurrency={number}"
    # Greenlet pools patch the standard library only where `--pool=` stands on the command line.
    return [
        *("celery", "-A", "config", "worker"),
        f"--hostname={node(worker, process)}@%h",
        f"--pool={worker.pool}",
        size,
        f"--queues={','.join(worker.consumes)}",
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Run one worker, or all of them, in place of this process."""
    known = {worker.name: worker for worker in WORKERS}
    parser = argparse.ArgumentParser(prog="python -m workers.run", allow_abbrev=False)
    parser.add_argument("name", nargs="?", help=f"one of: {', '.join(known)}")
    parser.add_argument("--all", action="store_true", help="every worker, under supervisord")
    parser.add_argument("--process", type=int, help="its number, of several on one host")
    parser.add_argument("--print", action="store_true", help="show the command, run nothing")
    options = parser.parse_args(argv)

    if bool(options.name) == options.all:
        parser.error(f"name one worker ({', '.join(known)}), or say --all")
    if options.all and options.process is not None:
        parser.error("--process goes with one worker; --all numbers them itself")
    if options.all and options.print:
        print("\n".join(shlex.join(command(worker)) for worker in WORKERS))
        return
    if options.all:
        supervise.become(supervise.workers(WORKERS))
    if options.name not in known:
        parser.error(f"no worker is called {options.name!r}; declared are: {', '.join(known)}")

    worker, process = known[options.name], options.process
    line = command(worker, process)
    if options.print:
        print(shlex.join(line))
        return
    os.environ["WORKER_NAME"] = worker.name  # shown in each line of its log
    health.beat(node(worker, process))  # its PID stays: one that hangs while it starts is known too
    os.execv(sys.executable, [sys.executable, "-m", *line])


if __name__ == "__main__":
    main()
