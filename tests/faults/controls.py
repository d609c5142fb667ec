"""Negative controls: with a mechanism switched off, its cell must fail, and in the stated way."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.faults import numbers
from tests.faults.cells import Cell, Fault
from tests.faults.report import Row


@dataclass(frozen=True)
class Control:
    """A mechanism, and what happens without it.

    fails: tells whether a cell failed as it must.
    why: what that is, in words.
    """

    mechanism: str
    fault: str
    broker: str
    pool: str
    fails: Callable[[Row], bool]
    why: str
    environment: Mapping[str, str] = field(default_factory=dict)

    def cell(self, faults: Mapping[str, Fault]) -> Cell:
        """Return its cell."""
        return Cell(faults[self.fault], self.broker, self.pool, self.mechanism)

    def judge(self, row: Row) -> None:
        """Turn a cell's verdict round."""
        if self.fails(row):
            row.verdict = "fails, as it must"
            row.proof = f"{self.why}: {'; '.join(row.problems)}"
            row.problems = []
        else:
            row.verdict = "FAILED"
            row.problems.insert(0, f"without {self.mechanism} this cell must show: {self.why}")


def _settings(**changes: object) -> dict[str, str]:
    return {"FAULT_SETTINGS": json.dumps(changes)}


def _said(row: Row, words: str) -> bool:
    return any(words in problem for problem in row.problems)


CONTROLS = [
    Control(
        "late-ack",
        "W4",
        "redis",
        "prefork",
        lambda row: row.lost > 0,
        "ids are lost",
        _settings(CELERY_TASK_ACKS_LATE=False),
    ),
    Control(
        "outbox",
        "P2",
        "redis",
        "threads",
        lambda row: row.lost > 0,
        "ids are lost",
        {"FAULT_WITHOUT": "outbox"},
    ),
    Control(
        "unique-key",
        "W12",
        "rabbitmq",
        "prefork",
        lambda row: row.doubled > 0,
        "effects are doubled",
        {"FAULT_WITHOUT": "unique-key"},
    ),
    Control(
        "poison-guard",
        "T1",
        "rabbitmq",
        "threads",
        lambda row: _said(row, "started"),
        f"more than {numbers.POISON_STARTS} starts",
        {"FAULT_WITHOUT": "poison-guard"},
    ),
    Control(
        "pool-size",
        "W1",
        "redis",
        "gevent",
        lambda row: row.duplicates > 0 or _said(row, "left in the broker"),
        "acknowledgements are lost, and tasks run again",
        # One connection for each greenlet but the first. What is not heard is said again, and hides it.
        {"FAULT_MAX_CONNECTIONS": "1", "FAULT_WITHOUT": "owing"},
    ),
]
