"""Measures what docs/pools.md says of prefetching and of many greenlets, on a rendered project.

python -m benchmarks.prefetch              all of it, some five minutes
python -m benchmarks.prefetch greenlets    one of: empty, mixed, greenlets
"""

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median

import psutil
from celery import Celery
from redis import Redis

from tests.baked import OPTIONS
from tests.probed import Probed, postgresql, probed
from tests.servers import postgresql_programs, real_postgresql, real_redis, redis_program

PREFETCH = (1, 4, 16)  # tasks reserved for each slot
EMPTY, ROUNDS = 1_500, 3
LONG, SHORT, ORDERS = (4, 1), 60, 5  # tasks, tasks, ways to shuffle them
SECONDS = 3  # of a long one
GREENLETS, POOL = (100, 1_000), 20
# How a task waits, what is reserved for each slot, and how many there are.
WAITS = (
    ("no query", 1, 1_000),
    ("no query", 2, 1_000),
    ("after", 2, 1_000),
    ("given back", 2, 1_000),
    ("before", 2, 200),
)
POLL = 0.02  # seconds
TASKS = '''

@shared_task(ignore_result=True)
def empty() -> None:
    """Do nothing."""


@shared_task(ignore_result=True)
def sleep(seconds: float) -> None:
    """Say when it began, and take so long."""
    _ledger.rpush("begun", f"{seconds} {time.time()}")
    time.sleep(seconds)


@shared_task(ignore_result=True)
def wait(kind: str) -> None:
    """Wait a second: without the database, or with one query before or after."""
    from workers.connections import give_back

    if kind in ("before", "given back"):
        session()
    if kind == "given back":
        give_back()
    time.sleep(1)
    if kind == "after":
        session()
'''


class Bench:
    """A project, its broker, and its workers."""

    def __init__(self, project: Probed) -> None:
        self.project = project
        self.broker = Redis.from_url(project.environment["CELERY_BROKER_URL"])
        with (project.project.path / "probe" / "tasks.py").open("a") as tasks:
            tasks.write(TASKS)

    @contextmanager
    def workers(self, *options: str, number: int = 1) -> Iterator[list[psutil.Process]]:
        """Keep so many workers up, with more options than their declaration has."""
        line = self.project.run("python", "-m", "workers.run", "jobs", "--print").split()
        started = []
        try:
            for each in range(number):
                log = self.project.log.with_suffix(f".{each}")
                command = [".venv/bin/python", "-m", *line, f"--hostname=jobs-{each}@%h", *options]
                with log.open("wb") as output:
                    process = psutil.Popen(
                        command,
                        cwd=self.project.project.path,
                        env=self.project.project.environment(**self.project.environment),
                        stdout=output,
                        stderr=output,
                    )
                started.append((process, log))
            for process, log in started:
                until(partial(said, " ready.", log, process))
            yield [process for process, _ in started]
            for _, log in started:
                assert "ERROR" not in log.read_text(), log.read_text()[-3000:]
        finally:
            alive = [process for process, _ in started if process.is_running()]
            for process in alive:
                process.terminate()
            psutil.wait_procs(alive, timeout=60)

    def load(self, *tasks: tuple[object, ...]) -> float:
        """Put tasks into the queue, all at once; return the moment."""
        broker = self.project.environment["CELERY_BROKER_URL"]
        with Celery(broker=broker, set_as_current=False) as sender:
            for name, *arguments in tasks:
                sender.send_task(f"probe.tasks.{name}", arguments, queue="aside")
        assert self.broker.llen("aside") == len(tasks)
        self.project.ledger.delete("begun")
        self.broker.rename("aside", "jobs")
        return time.time()

    def drained(self) -> float:
        """Wait until every task is acknowledged; return the moment."""
        idle = 0
        while idle < 3:  # a message that is handed over stands nowhere for an instant
            queued, unacknowledged = self.broker.llen("jobs"), self.broker.hlen("unacked")
            idle = 0 if queued or unacknowledged else idle + 1
            time.sleep(POLL)
        return time.time() - 3 * POLL


def until(ask: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not ask():
        assert time.monotonic() < deadline
        time.sleep(POLL)


def said(words: str, log: Path, process: psutil.Popen) -> bool:
    """Tell whether a worker that is still alive has said something."""
    assert process.poll() is None, log.read_text()[-3000:]
    return words in log.read_text()


def cpu(worker: psutil.Process) -> float:
    """Return the seconds of CPU that a worker has used, which no neighbour can change much."""
    return sum(sum(each.cpu_times()[:2]) for each in (worker, *worker.children()))


def empty(bench: Bench) -> None:
    """Print how fast two slots do nothing."""
    rates: dict[int, list[float]] = {prefetch: [] for prefetch in PREFETCH}
    costs: dict[int, list[float]] = {prefetch: [] for prefetch in PREFETCH}
    for number in range(ROUNDS):
        for prefetch in PREFETCH[number:] + PREFETCH[:number]:
            with bench.workers(f"--prefetch-multiplier={prefetch}") as (worker,):
                bench.load(*[("empty",)] * 100)
                bench.drained()
                used, start = cpu(worker), bench.load(*[("empty",)] * EMPTY)
                rates[prefetch].append(EMPTY / (bench.drained() - start))
                costs[prefetch].append((cpu(worker) - used) / EMPTY * 1000)
    for prefetch, found in rates.items():
        low, high = min(found), max(found)
        cost = median(costs[prefetch])
        print(
            f"empty: prefetch {prefetch}: {median(found):.0f} tasks/s ({low:.0f}-{high:.0f}), "
            f"{cost:.2f} ms of CPU for each",
            flush=True,
        )


def mixed(bench: Bench) -> None:
    """Print how long short tasks wait beside long ones, on two workers of one slot."""
    for prefetch in PREFETCH:
        options = ("--concurrency=1", f"--prefetch-multiplier={prefetch}")
        with bench.workers(*options, number=2):
            for long in LONG:
                last, stuck = [], []
                for order in range(ORDERS):
                    waits = _waits(bench, long, order)
                    last.append(max(waits))
                    stuck.append(sum(wait > SECONDS / 3 for wait in waits))
                print(
                    f"mixed: prefetch {prefetch}, {long} long: the last short task waits "
                    f"{median(last):.1f} s ({min(last):.1f}-{max(last):.1f}), "
                    f"{median(stuck):.0f} of {SHORT} wait for more than {SECONDS / 3:.0f} s "
                    f"({min(stuck)}-{max(stuck)})",
                    flush=True,
                )


def _waits(bench: Bench, long: int, order: int) -> list[float]:
    tasks = [("sleep", SECONDS)] * long + [("sleep", 0)] * SHORT
    random.Random(order).shuffle(tasks)
    start = bench.load(*tasks)
    bench.drained()
    notes = [note.split() for note in bench.project.notes("begun")]
    waits = [float(begun) - start for seconds, begun in notes if seconds == "0"]
    assert len(waits) == SHORT
    return waits


def greenlets(bench: Bench) -> None:
    """Print how fast greenlets wait, with and without a query before or after."""
    bench.project.environment["DATABASE_POOL_SIZE"] = str(POOL)
    declared = 2
    bench.project.declare('pool="prefork"', 'pool="gevent"')
    for number in GREENLETS:
        bench.project.declare(f"concurrency={declared}", f"concurrency={number}")
        declared = number
        for kind, prefetch, tasks in WAITS:
            with bench.workers(f"--prefetch-multiplier={prefetch}") as (worker,):
                bench.load(*[("wait", kind)] * 50)
                bench.drained()
                used, start = cpu(worker), bench.load(*[("wait", kind)] * tasks)
                rate = tasks / (bench.drained() - start)
                cost = (cpu(worker) - used) / tasks * 1000
            print(
                f"greenlets: {number}, {kind}, prefetch {prefetch}: {rate:.0f} tasks/s, "
                f"{cost:.1f} ms of CPU for each",
                flush=True,
            )


def main(chosen: list[str]) -> None:
    """Start what is needed, and measure."""
    known = {measure.__name__: measure for measure in (empty, mixed, greenlets)}
    redis, programs = redis_program(), postgresql_programs()
    if not redis or not programs:
        raise SystemExit("Redis and PostgreSQL are needed: sudo make servers")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="prefetch-") as name,
        real_postgresql(programs, "-c", "log_min_messages=panic") as server,
        postgresql(server, "bench") as database,
    ):
        folder = Path(name)
        with real_redis(redis, folder) as broker:
            answers = {"result_backend": "none", "beat_scheduler": "none"}
            queues = "jobs:prefork:2"
            project = probed(
                folder, environment(folder), database.url, broker, queues=queues, **answers
            )
            bench = Bench(project)
            for measure in chosen or known:
                known[measure](bench)


def environment(folder: Path) -> Path:
    """Make an environment with what the project requires."""
    path, uv = folder / "environment", [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, path], check=True)
    packages = [
        *OPTIONS["_requirements"],
        *OPTIONS["_django_versions"]["5.2"]["requirements"],
        *OPTIONS["_databases"]["postgresql"]["requirements"],
        *OPTIONS["_brokers"]["redis"]["requirements"],
        *OPTIONS["_pools"]["gevent"]["requirements"],
        "packaging",  # kombu's transport for Redis imports it
        "python-dotenv",
    ]
    install = [*uv, "pip", "install", "--quiet", "--python", str(path / "bin" / "python")]
    subprocess.run([*install, *packages], check=True)
    return path


if __name__ == "__main__":
    main(sys.argv[1:])
