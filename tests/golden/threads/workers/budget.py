"""How workers hold connections to a database, and how many that can be at most.

Standard library only: the same arithmetic serves the checks, `manage.py connection_budget`, and
whoever sizes a database before there is one.
"""

from dataclasses import dataclass

from workers.pools import offers
from workers.worker import Worker

# How a slot of a worker comes by a connection.
KEPT = "kept"  # one of its own, open between tasks
POOLED = "pooled"  # borrowed from the pool of its process, until its task ends
CLOSED = "closed"  # opened for each task, and closed after it


@dataclass(frozen=True)
class Share:
    """What one kind of process takes of the connections to one database.

    processes: the most of them that a deployment runs.
    each: the most connections of one of them.
    how: the same in words, such as "4 persistent" or "pool of 20".
    """

    name: str
    processes: int
    each: int
    how: str

    @property
    def most(self) -> int:
        """The most connections of all its processes."""
        return self.processes * self.each


def held(strategy: str, vendor: str, pool: str) -> str:
    """Return KEPT, POOLED or CLOSED: how the slots of a pool come by a connection.

    strategy: persistent, pool, pgbouncer or per_task.
    vendor: postgresql, mysql or sqlite.
    """
    if strategy == "persistent" and offers(pool).greenlets:
        # A greenlet ends with its task: what it kept would be lost, and stay open.
        return POOLED if vendor == "postgresql" else CLOSED
    return {"persistent": KEPT, "pool": POOLED}.get(strategy, CLOSED)


def pool_size(worker: Worker, largest: int) -> int:
    """Return how many connections a pool in a process of a worker may hold.

    largest: the most that any may hold (DATABASE_POOL_SIZE).
    """
    return 1 if offers(worker.pool).forks else min(worker.most, largest)


def share(worker: Worker, strategy: str, vendor: str, largest: int) -> Share:
    """Return what a worker takes of the connections to one database."""
    slots, pool = worker.most, pool_size(worker, largest)
    # Each child has a pool of its own.
    pooled = (
        (f"{slots} pools of 1", slots) if offers(worker.pool).forks else (f"pool of {pool}", pool)
    )
    how, each = {
        KEPT: (f"{slots} persistent", slots),
        POOLED: pooled,
        CLOSED: (f"{slots}, one a task", slots),
    }[held(strategy, vendor, worker.pool)]
    processes = worker.processes[1] if isinstance(worker.processes, tuple) else worker.processes
    return Share(worker.name, processes, each, how)


def covers_keeper(worker: Worker, strategy: str, vendor: str, largest: int) -> bool:
    """Tell whether the pool of a process lends its keeper a connection too (workers/keeper.py).

    Where it is a child's, or may be of one, the main process opens another, for a moment.
    """
    pooled = held(strategy, vendor, worker.pool) == POOLED
    return pooled and not offers(worker.pool).forks and pool_size(worker, largest) > 1
