"""The processes of a project, and a supervisor that starts anew what has died."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.faults import numbers

# In the environment of every process of a cell: what is left over is found by it.
MARK = "FAULT_CELL"


@dataclass
class Program:
    """One process that a supervisor would keep up.

    held: whether it is left as it is when it has ended.
    codes: how it has ended so far.
    """

    name: str
    command: list[str]
    folder: Path
    environment: Mapping[str, str]
    log: Path
    held: bool = False
    codes: list[int] = field(default_factory=list)
    process: psutil.Popen = field(init=False)
    begun: int = 0  # the byte of the log at which it was started last

    def start(self) -> None:
        """Start it, below the log so far."""
        self.begun = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as output:
            self.process = psutil.Popen(
                self.command,
                cwd=self.folder,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The number of its main process."""
        return int(self.process.pid)

    def said(self) -> str:
        """Return what it has said since it was started last."""
        with self.log.open("rb") as file:
            file.seek(self.begun)
            return file.read().decode(errors="replace")

    def is_ready(self) -> bool:
        """Tell whether a worker consumes."""
        return " ready." in self.said()

    def send(self, number: int) -> None:
        """Send a signal to the main process alone."""
        os.kill(self.pid, number)

    def kill_all(self) -> list[int]:
        """Kill it with its children, as the end of a container does; return their numbers."""
        pids = [self.pid, *(child.pid for child in self.children())]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return pids

    def children(self) -> list[psutil.Process]:
        """Return what it has started and what still runs."""
        try:
            found: list[psutil.Process] = self.process.children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        return found

    def wait_gone(self, pid: int, seconds: float) -> int:
        """Return how a process of this program has ended, once the supervisor has seen it.

        Raises AssertionError where it lasts longer.
        """
        end = time.monotonic() + seconds
        while self.process.pid == pid and self.process.poll() is None:
            assert time.monotonic() < end, f"{self.name} still runs after {seconds} s"
            time.sleep(0.05)
        while not self.codes:
            time.sleep(0.05)
        return self.codes[-1]


class Supervisor:
    """Starts anew each program that has ended, whole processes only."""

    def __init__(self) -> None:
        self.programs: list[Program] = []
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Leave everything as it is from now on."""
        self._enough.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        seen: dict[int, float] = {}
        while not self._enough.wait(0.05):
            for program in list(self.programs):
                pid, code = program.pid, program.process.poll()
                if code is None:
                    continue
                if pid not in seen:
                    seen[pid] = time.monotonic()
                    program.codes.append(code)
                if not program.held and time.monotonic() - seen[pid] > numbers.RESTART:
                    program.start()


def terminated(programs: list[Program], seconds: float) -> dict[str, int | None]:
    """Stop programs as a deployment does; return how each has ended, None where it was killed."""
    for program in programs:
        with suppress(ProcessLookupError):
            program.send(signal.SIGTERM)
    end = time.monotonic() + seconds
    found: dict[str, int | None] = {}
    for program in programs:
        try:
            found[program.name] = program.process.wait(max(0.1, end - time.monotonic()))
        except psutil.TimeoutExpired:
            found[program.name] = None
            program.kill_all()
            program.process.wait(10)
    return found


def left_over(cell: str) -> list[psutil.Process]:
    """Return the processes of a cell that still run."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(MARK) == cell and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def shown(process: psutil.Process) -> str:
    """Return which process it is."""
    try:
        return f"{process.pid} ({process.status()}) {' '.join(process.cmdline())[-80:]}"
    except psutil.Error:
        return str(process.pid)


def awaited(ask: Callable[[], Any], seconds: float, what: str, pause: float = 0.1) -> Any:
    """Return the first true answer. Raises AssertionError where there is none in time."""
    end = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}"
        time.sleep(pause)
    return answer
