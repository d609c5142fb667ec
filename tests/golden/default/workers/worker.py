"""What a worker is, and the rules that a declaration of workers and routes must obey.

Standard library only: deployment tools and health checks load this without Django or Celery.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from workers.pools import LARGEST, POOLS

NAME = re.compile(r"[a-z][a-z0-9_]*")
LONGEST_NAME = 40  # characters; a node name adds the host's, and process lists cut at about 80
# Redis lists stand beside these keys of kombu's: a queue of such a name kills its worker.
RESERVED = ("unacked", "unacked_index", "unacked_mutex")
# What runs beside workers, and is asked whether it lives by that name (workers/health.py).
TAKEN = {"beat": "sends periodic tasks", "flower": "shows workers"}
MOST_PROCESSES = 1_000
TASK = re.compile(r"[A-Za-z0-9_.:*-]+")


@dataclass(frozen=True)
class Worker:
    """One kind of worker process.

    concurrency: tasks at once in one process, or the bounds of Celery's autoscale (min, max).
    queues: what it consumes; empty means the queue of its own name.
    processes: how many of it a deployment runs, or the bounds (min, max) between which it scales.
    """

    name: str
    pool: str = "prefork"
    concurrency: int | tuple[int, int] = POOLS["prefork"].concurrency
    queues: tuple[str, ...] = ()
    processes: int | tuple[int, int] = 1

    @property
    def consumes(self) -> tuple[str, ...]:
        """The names of the queues that it takes tasks from."""
        return self.queues or (self.name,)

    @property
    def most(self) -> int:
        """The most tasks at once in one process."""
        return self.concurrency[1] if isinstance(self.concurrency, tuple) else self.concurrency


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a declaration: what, why, and what to do instead."""

    value: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.value}: {self.reason}; {self.remedy}"


def problems(workers: Iterable[Worker], routes: Mapping[str, str]) -> list[Problem]:
    """Return every problem of a declaration, in the order of the declaration."""
    workers = list(workers)
    found = [problem for worker in workers for problem in _worker_problems(worker)]
    if not workers:
        found.append(Problem("no worker", "a task would wait for ever", "declare at least one"))
    for name, times in Counter(worker.name for worker in workers).items():
        if times > 1:
            found.append(Problem(name, f"declared {times} times", "keep one of each name"))
    queues = {queue for worker in workers for queue in worker.consumes}
    for task, queue in routes.items():
        if not TASK.fullmatch(task):
            remedy = "write a task's name such as app.tasks.send, or a glob such as app.tasks.*"
            found.append(Problem(f"{task}={queue}", "not the name of a task", remedy))
        if queue not in queues:
            known = ", ".join(sorted(queues)) or "none"
            reason = f"no worker consumes the queue {queue!r}"
            found.append(Problem(f"{task}={queue}", reason, f"route it to one of: {known}"))
    return found


def quorum_problems(workers: Iterable[Worker]) -> Iterator[Problem]:
    """Yield what quorum queues cannot do: their limit is per consumer, and autoscale moves another."""
    for worker in workers:
        if isinstance(worker.concurrency, tuple):
            reason = "quorum queues of RabbitMQ do not support autoscale"
            yield Problem(worker.name, reason, f"give one number, such as {worker.most}")


def _worker_problems(worker: Worker) -> Iterator[Problem]:
    if worker.name in TAKEN:
        reason = f"the name of what {TAKEN[worker.name]}"
        yield Problem(worker.name, reason, f"choose another, such as {worker.name}_tasks")
    for name in dict.fromkeys((worker.name, *worker.consumes)):
        yield from _name_problems(name)
    pool = POOLS.get(worker.pool)
    if pool is None:
        reason = f"unknown pool {worker.pool!r}"
        yield Problem(worker.name, reason, f"choose one of: {', '.join(POOLS)}")
    elif isinstance(worker.concurrency, tuple) and not pool.autoscale:
        able = ", ".join(name for name, pool in POOLS.items() if pool.autoscale)
        reason = f"the pool {worker.pool!r} cannot autoscale"
        yield Problem(worker.name, reason, f"give one number, or a pool that can: {able}")
    largest = pool.largest if pool else LARGEST
    yield from _bounds_problems(worker.name, "concurrency", worker.concurrency, largest)
    yield from _bounds_problems(worker.name, "processes", worker.processes, MOST_PROCESSES)


def _name_problems(name: str) -> Iterator[Problem]:
    if not NAME.fullmatch(name):
        remedy = "start with a letter, then lower-case letters, digits and underscores"
        yield Problem(name, "not a name for a worker or a queue", remedy)
    elif len(name) > LONGEST_NAME:
        yield Problem(name, f"{len(name)} characters", f"use at most {LONGEST_NAME}")
    elif name in RESERVED:
        reason = "a name that Celery uses for itself in Redis"
        yield Problem(name, reason, f"choose another, such as {name}_tasks")


def _bounds_problems(
    name: str, field: str, bounds: int | tuple[int, int], largest: int
) -> Iterator[Problem]:
    low, high = bounds if isinstance(bounds, tuple) else (bounds, bounds)
    shown = f"{low}-{high}" if isinstance(bounds, tuple) else str(bounds)
    if low < 1:
        yield Problem(name, f"{field} {shown} starts below 1", "use 1 or more")
    elif low > high:
        yield Problem(name, f"{field} {shown} ends below its start", f"write {high}-{low}")
    elif high > largest:
        yield Problem(name, f"{field} {shown} is more than it can carry", f"use at most {largest}")
