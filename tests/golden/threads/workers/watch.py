"""An event listener of supervisord's: restarts what runs and yet does nothing any more.

supervisord by itself restarts only what ended.
"""

# It comes without types.
# mypy: disable-error-code="import-untyped"

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault

from supervisor import childutils

from workers import health
from workers.worker import TAKEN


def silent_for(process: Mapping[str, Any]) -> float | None:
    """Return for how many seconds a process of supervisord's was silent, or None where it may be."""
    node = node_of(process)
    seen = health.last_beat(Path(os.environ[health.FOLDER]) / node)
    if process["statename"] != "RUNNING" or (seen is None and node not in TAKEN):
        return None  # it never beats, or waits for its tasks before it ends
    if seen and seen[0] == process["pid"]:
        return seen[1]
    # It has not begun yet; what there is, is another one's, from before this one started.
    return float(process["now"] - process["start"])


def node_of(process: Mapping[str, Any]) -> str:
    """Return the name under which a process of supervisord's beats."""
    return str(process["name"]).removeprefix("worker-")


def main(argv: Sequence[str] | None = None) -> None:
    """Look at each process with each event, and end those that were silent for too long."""
    parser = argparse.ArgumentParser(prog="python -m workers.watch")
    parser.add_argument("--stale", type=float, help="how many seconds one may be silent")
    stale = parser.parse_args(argv).stale
    supervisord = childutils.getRPCInterface(os.environ).supervisor
    suspects: set[int] = set()
    while True:
        childutils.listener.wait()
        try:
            processes = supervisord.getAllProcessInfo()
        except Fault:  # it is shutting down
            childutils.listener.fail()
            continue
        late = {
            process["pid"]: process
            for process in processes
            if (silent := silent_for(process)) is not None
            and silent > (health.patience(node_of(process)) if stale is None else stale)
        }
        # Twice in a row: the whole host may have stood still, and then it beats next.
        for pid in suspects & late.keys():
            name = f"{late[pid]['group']}:{late[pid]['name']}"
            now = time.strftime("%Y-%m-%d %H:%M:%S")
            print(f"{now} {name}, PID {pid}, is silent: killing it", file=sys.stderr, flush=True)
            # A stopped process takes no other signal; supervisord starts the next one.
            supervisord.signalProcess(name, "KILL")
        suspects = set(late)
        childutils.listener.ok()


if __name__ == "__main__":
    main()
