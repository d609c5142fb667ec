"""Figures, and what they must reach."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

# One round of a measure: each variant's figures by their names.
Round = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Figure:
    """Something that is measured.

    name: with its unit.
    more: whether more of it is better.
    """

    name: str
    more: bool = False
    digits: int = 0


THROUGHPUT = Figure("tasks/s", more=True)
# Of the worker's processes; unlike the clock it does not see what else the machine does.
CPU = Figure("CPU ms/task", digits=2)
PEAK = Figure("connections, peak")
OPENED = Figure("connections, opened")
LOST = Figure("acknowledgements lost")
FAILED = Figure("tasks failed")
MEMORY = Figure("MiB for a child", digits=1)
P50 = Figure("µs, p50")
P99 = Figure("µs, p99")
START = Figure("s to the first task", digits=2)
SECONDS = Figure("s", digits=2)


@dataclass(frozen=True)
class Target:
    """What a figure must reach: a number, or so many times another variant's figure.

    than: the other variant; without it `bound` is the figure itself.
    """

    figure: Figure
    bound: float
    than: str | None = None
    of: str = "ours"

    def reached(self, rounds: list[Round]) -> float:
        """Return what is compared with the bound.

        A ratio is the median of the rounds' own ratios: whatever slows the machine for a while slows
        both sides of one round. A number is the worst of all rounds.
        """
        if self.than is None:
            worst = min if self.figure.more else max
            return worst(each[self.of][self.figure.name] for each in rounds)
        return median(
            each[self.of][self.figure.name] / each[self.than][self.figure.name] for each in rounds
        )

    def holds(self, rounds: list[Round]) -> bool:
        """Tell whether it is reached."""
        reached = self.reached(rounds)
        return reached >= self.bound if self.figure.more else reached <= self.bound

    def __str__(self) -> str:
        sign = "≥" if self.figure.more else "≤"
        against = f" × {self.than}" if self.than else ""
        return f"{self.of}: {self.figure.name} {sign} {self.bound:g}{against}"
