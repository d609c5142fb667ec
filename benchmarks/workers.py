"""Workers under measurement, watched from outside."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.sites import Site

POLL = 0.01  # seconds between two looks at logs and queues, the grain of each time
WATCH = 0.05  # seconds between two looks at what is only reported, such as connections
PATIENCE = 180  # seconds
# What Celery logs in every variant.
READY = b" ready."
SUCCEEDED = b" succeeded in "
RAISED = b" raised unexpected"
NOT_ACKNOWLEDGED = b"Couldn't ack"


class Log:
    """What a worker has written so far: how often each of some words."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.counts = dict.fromkeys((READY, SUCCEEDED, RAISED, NOT_ACKNOWLEDGED), 0)
        self._offset = 0

    def read(self) -> None:
        """Count what is new, whole lines only."""
        with self.path.open("rb") as file:
            file.seek(self._offset)
            new = file.read()
        new = new[: new.rfind(b"\n") + 1]
        self._offset += len(new)
        for words in self.counts:
            self.counts[words] += new.count(words)


class Fleet:
    """The workers of one site."""

    def __init__(self, site: Site, pool: str) -> None:
        self.site = site
        self.processes: list[subprocess.Popen[bytes]] = []
        self.logs: list[Log] = []
        for number in range(1, site.variant.workers + 1):
            log = Log(site.folder / f"{site.variant.name}-{number}.log".replace(" ", "-"))
            command = [site.environment["PYTHON"], "-m", *site.worker(pool, number)]
            with log.path.open("wb") as output:
                process = subprocess.Popen(
                    command,
                    cwd=site.folder,
                    env=site.environment,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            self.processes.append(process)
            self.logs.append(log)

    def count(self, *words: bytes) -> int:
        """Return how often some words stand in the logs."""
        for log in self.logs:
            log.read()
        return sum(log.counts[each] for log in self.logs for each in words)

    @property
    def completed(self) -> int:
        """How many tasks have ended, one way or the other."""
        return self.count(SUCCEEDED, RAISED)

    def children(self) -> list[psutil.Process]:
        """Return the processes that prefork's tasks run in."""
        return [child for each in self.processes for child in psutil.Process(each.pid).children()]

    def cpu(self) -> float:
        """Return the seconds of CPU that the workers have used, with children that are gone."""
        parents = [psutil.Process(process.pid) for process in self.processes]
        used = [sum(parent.cpu_times()[:4]) for parent in parents]
        return sum(used) + sum(sum(child.cpu_times()[:2]) for child in self.children())

    def wait_until_ready(self) -> None:
        """Return once every worker consumes."""
        self.wait_for(lambda: self.count(READY) >= len(self.processes))

    def wait_for_tasks(self, number: int, watch: Callable[[], None] = lambda: None) -> None:
        """Return once so many tasks have ended since the start, and watch meanwhile."""
        self.wait_for(lambda: self.completed >= number, watch)

    def wait_for(self, ask: Callable[[], bool], watch: Callable[[], None] = lambda: None) -> None:
        """Return once something holds, and watch meanwhile.

        Raises RuntimeError with the ends of the logs where a worker ends, or it takes too long.
        """
        watched = start = time.monotonic()
        while not ask():
            ended = any(process.poll() is not None for process in self.processes)
            now = time.monotonic()
            if ended or now - start > PATIENCE:
                ends = "\n".join(log.path.read_text()[-3000:] for log in self.logs)
                raise RuntimeError(f"{self.site.variant.name}: no progress\n{ends}")
            if now - watched > WATCH:
                watch()
                watched = now
            time.sleep(POLL)

    def terminate(self) -> None:
        """Ask the workers to finish."""
        for process in self.processes:
            process.terminate()

    def end(self) -> None:
        """End the workers, with what they have started."""
        for process in self.processes:
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.kill()
                raise RuntimeError(f"{self.site.variant.name}: a worker does not stop") from None

    def kill(self) -> None:
        """Kill the workers and what they have started."""
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@contextmanager
def fleets(sites: list[Site], pool: str) -> Iterator[list[Fleet]]:
    """Run the workers of several sites; they start, and end, side by side."""
    running: list[Fleet] = []
    try:
        for site in sites:
            running.append(Fleet(site, pool))
        yield running
        for fleet in running:
            fleet.terminate()
        for fleet in running:
            fleet.end()
    finally:
        for fleet in running:
            fleet.kill()
