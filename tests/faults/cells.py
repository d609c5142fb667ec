"""The table of the faults, and the cells that a run consists of."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.baked import BakedProject
from tests.faults.scene import Scene

POOLS = ("prefork", "gevent", "threads", "eventlet", "solo")
BROKERS = ("redis", "rabbitmq")


@dataclass(frozen=True, eq=False)
class Fault:
    """One thing that breaks.

    inject: breaks it in mid-stream, makes sure that it is broken, mends it; returns the proof.
    refuse: makes sure that the project refuses to run so, given its environment; returns the proof.
    pools, brokers: where it has a meaning; elsewhere the cell is n/a, for a reason.
    processes: how many worker processes there are.
    again: of how many processes the tasks are handed out again, at most. The bound of duplicate
        deliveries is what they have in hand.
    goes_on: whether they go on with it meanwhile: what follows it is then sent by each of both.
    extra: duplicate deliveries beyond that.
    patience: how much longer than usual it may take until all is well again. Seconds.
    away: what /readyz must miss for a while: "broker" or "database".
    web_stays: whether the web must answer all the time.
    may_fail: whether ids may end as failed or dead.
    patient, twice: how customers behave (stream.py).
    proxied: who reaches a server through a proxy (scene.py).
    forgetful: whether its broker keeps nothing on disk.
    bounced: whether the project reaches its database through PgBouncer.
    answers, settings, environment: how its project differs.
    """

    code: str
    title: str
    inject: Callable[[Scene], str] | None = None
    refuse: Callable[[BakedProject, dict[str, str]], str] | None = None
    pools: tuple[str, ...] = POOLS
    brokers: tuple[str, ...] = BROKERS
    reason: str = ""
    processes: int = 2
    again: int = 0
    goes_on: bool = False
    extra: int = 0
    patience: int = 0
    away: str | None = None
    web_stays: bool = True
    may_fail: bool = False
    patient: bool = True
    twice: bool = False
    proxied: frozenset[str] = frozenset()
    forgetful: bool = False
    bounced: bool = False
    answers: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cell:
    """A fault on a broker and a pool, and the mechanism that is switched off, if any."""

    fault: Fault
    broker: str
    pool: str
    without: str = ""

    @property
    def name(self) -> str:
        """What it is called on the command line and in the table."""
        suffix = f"-without-{self.without}" if self.without else ""
        return f"{self.fault.code}-{self.broker}-{self.pool}{suffix}"

    @property
    def not_applicable(self) -> str:
        """Why it has no meaning, empty where it has."""
        if self.pool in self.fault.pools and self.broker in self.fault.brokers:
            return ""
        return self.fault.reason

    def matches(self, wanted: str) -> bool:
        """Tell whether somebody who names a fault, a fault and its broker, or a cell means this."""
        return self.name == wanted or self.name.startswith(f"{wanted}-")


def once_per_broker(faults: Iterable[Fault]) -> list[Cell]:
    """Return each fault on each broker once, the pools taking turns."""
    cells = []
    turns = dict.fromkeys(POOLS, 0)
    for fault in faults:
        for broker in BROKERS:
            # Of the pools that it has a meaning on, the one that had the fewest turns.
            pool = min(fault.pools, key=lambda pool: (turns[pool], POOLS.index(pool)))
            if broker in fault.brokers:
                turns[pool] += 1
            cells.append(Cell(fault, broker, pool))
    return cells


# What the full run has on every pool.
EVERY_POOL = ("W1", "W4", "W5", "W7", "W12", "B2", "T1")
MOST_USED = ("prefork", "gevent")


def full(faults: Iterable[Fault]) -> list[Cell]:
    """Return every cell of the full run, those that are n/a included."""
    return [
        Cell(fault, broker, pool)
        for fault in faults
        for broker in BROKERS
        for pool in (POOLS if fault.code in EVERY_POOL else MOST_USED)
    ]
