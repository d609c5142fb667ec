"""What must hold once everything is over."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from tests.faults import numbers
from tests.faults.cells import Cell
from tests.faults.ledger import Ledger
from tests.faults.scene import Scene
from tests.faults.verdicts import degraded


@dataclass
class Outcome:
    """How a cell went.

    begun, over: when the fault hit, and when it was mended; the clock is monotonic.
    settled: when the last id became final.
    steady: how long after the fault the throughput was back, None where it never was. Seconds.
    backlog: what was left in the broker.
    codes: how each process ended that was asked to at the end.
    """

    proof: str = ""
    begun: float = 0.0
    over: float = 0.0
    settled: float = 0.0
    steady: float | None = None
    backlog: dict[str, int] = field(default_factory=dict)
    codes: dict[str, int | None] = field(default_factory=dict)
    sessions: int = 0
    left_over: list[str] = field(default_factory=list)
    in_flight: int = 0

    @property
    def recovery(self) -> float:
        """Seconds from the fault to the last id that became final."""
        return max(0.0, self.settled - self.begun)


def bound(cell: Cell, scene: Scene) -> int:
    """Return how many duplicate deliveries there may be.

    A process has as many tasks in hand as it has slots, and as many again reserved.
    """
    fault = cell.fault
    in_hand = max(fault.again, scene.gone) * 2 * scene.concurrency
    follow = in_hand * numbers.STEPS_AFTER if fault.goes_on else 0
    return in_hand + follow + fault.extra + scene.extra


def problems(cell: Cell, scene: Scene, ledger: Ledger, outcome: Outcome, ids: int) -> Iterator[str]:
    """Yield what does not hold."""
    fault = cell.fault
    if len(ledger.accepted) < ids:
        yield f"only {len(ledger.accepted)} ids of {ids} were accepted"
    if lost := set(scene.stream.accepted) - ledger.accepted:
        yield f"{len(lost)} ids were answered as accepted and have no row"
    may_lose = scene.may_lose if degraded(cell.name) else 0
    if len(lost := ledger.open()) > may_lose:
        yield f"{len(lost)} lost, such as {min(lost)}"
    if ledger.contradictory:
        yield f"{len(ledger.contradictory)} ids have two final states, such as {ledger.contradictory[0]}"
    if not fault.may_fail and (ended := ledger.count("failed") + ledger.count("dead")):
        yield f"{ended} ids failed or were parked"
    if ledger.doubled:
        yield f"{ledger.doubled} effects doubled"
    if ledger.unaccepted_effects:
        yield f"{len(ledger.unaccepted_effects)} effects of what was never accepted"
    if len(ledger.calls) < ledger.count("completed") - sum(map(bool, ledger.entries.values())):
        yield "completed orders without a charge"
    most = bound(cell, scene)
    if ledger.duplicates > most:
        yield f"{ledger.duplicates} duplicate deliveries, more than {most}"
    if ledger.mail_repeated > most:
        yield f"{ledger.mail_repeated} receipts sent again, more than {most}"
    if ledger.outbox:
        yield f"{ledger.outbox} messages left in the outbox"
    if left := {queue: count for queue, count in outcome.backlog.items() if count}:
        yield f"left in the broker: {left}"
    if bad := {name: code for name, code in outcome.codes.items() if code != 0}:
        yield f"ended badly: {bad}"
    if outcome.sessions:
        yield f"{outcome.sessions} database sessions left"
    if outcome.left_over:
        yield f"processes left: {'; '.join(outcome.left_over)}"
    patience = numbers.REDELIVERY[cell.broker] + numbers.SETTLE + fault.patience
    if outcome.steady is None or outcome.steady > patience:
        yield f"the throughput did not come back to {numbers.SHARE:.0%} within {patience:.0f} s"
    yield from _lies(cell, scene, outcome)


def _lies(cell: Cell, scene: Scene, outcome: Outcome) -> Iterator[str]:
    """Yield where the probes did not tell the truth."""
    during = [h for h in scene.healths if outcome.begun <= h.at <= outcome.over + 1]
    others = [h for h in scene.healths if h.at < outcome.begun or h.at > outcome.over + 12]
    if cell.fault.web_stays and (silent := sum(h.lives != 200 for h in scene.healths)):
        yield f"/healthz did not answer {silent} times"
    # Twice in a row: servers that share a busy machine with all the rest may miss one look's limit.
    if wrong := [b for a, b in pairwise(others) if a.ready != 200 != b.ready]:
        yield f"/readyz said no {len(wrong)} times while nothing was away: {wrong[0].missing!r}"
    away = cell.fault.away
    if away and not any(h.ready == 503 and away in h.missing for h in during):
        yield f"/readyz never said that the {away} is away"


def throughput_back(scene: Scene, begun: float) -> float | None:
    """Return how long after the fault as much was completed again as before, None for never.

    Over windows of two seconds.
    """
    window = 2.0

    def rate(end: float) -> float:
        points = [point for point in scene.finals if end - window <= point[0] <= end]
        # Where looking was held up, they are close to each other, and say nothing.
        if not points or (spread := points[-1][0] - points[0][0]) < window / 2:
            return 0.0
        return (points[-1][1] - points[0][1]) / spread

    # Of the last window that has enough of them.
    before = next(filter(None, (rate(at) for at, _ in reversed(scene.finals) if at <= begun)), 0.0)
    for at, _ in scene.finals:
        # A window that lies behind the fault as a whole.
        if at - window >= begun and rate(at) >= numbers.SHARE * before:
            return at - begun
    return None


def settle(scene: Scene, seconds: float, quiet: float) -> float:
    """Wait until every id is final, and return when the last one became so.

    seconds: how long at the most.
    quiet: after how long without a further one it waits no more. Seconds.
    """
    end = time.monotonic() + seconds
    last = time.monotonic()
    before = scene.look()
    while time.monotonic() < min(end, last + quiet):
        ledger = scene.ledger()
        if ledger.accepted and not ledger.open():
            break
        time.sleep(0.25)
        if (now := scene.look()) != before:
            before, last = now, time.monotonic()
    return last
