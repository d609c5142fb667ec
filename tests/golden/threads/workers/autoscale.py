"""How many processes of a worker there should be, from what waits for it. Standard library only."""

from dataclasses import dataclass
from math import ceil

# More waiting tasks for each slot than this call for more slots.
BUSY = 2
# One process fewer would do where it had at most so many for each slot: far less, or it would soon be
# wanted back.
IDLE = 0.25
# A task that has waited for longer calls for a slot of its own. Seconds.
LATE = 30
# So many looks in a row must find next to nothing before a process is stopped: tasks that run or are
# reserved are in no queue.
QUIET = 3
# Looks from a change to the next one up, in which a new process takes its first tasks, and down.
PAUSE_UP, PAUSE_DOWN = 2, 6


@dataclass
class Scale:
    """The number of processes of one worker, look by look.

    low, high: its bounds.
    slots: tasks at once in one process.
    interval: seconds from one look to the next.
    since: looks since the last change.
    quiet: looks in a row that found next to nothing.
    """

    low: int
    high: int
    slots: int
    interval: float
    since: int = PAUSE_DOWN
    quiet: int = 0

    def decide(self, running: int, depth: int, age: float | None) -> tuple[int, str, str]:
        """Return how many processes there should be, and why, in a word and in full.

        running: those that take tasks. depth, age (seconds): what waits.
        """
        wanted, late = ceil(depth / (BUSY * self.slots)), age is not None and age > LATE
        if late:
            wanted = max(wanted, running + ceil(depth / self.slots))
        idle = not late and depth <= IDLE * self.slots * (running - 1)
        self.since, self.quiet = self.since + 1, self.quiet + 1 if idle else 0
        why = f"{depth:,} waiting" + ("" if age is None else f", the oldest for {age:,.0f} s")
        if running < self.low:
            return min(max(wanted, self.low), self.high), "low", f"{why}, and {self.low} at least"
        if wanted > running >= self.high:
            return running, "high", f"{why}, and {self.high} at most"
        if wanted > running:
            target, pause = min(wanted, self.high), PAUSE_UP
        elif running > self.low and self.quiet >= QUIET:
            target, pause = running - 1, PAUSE_DOWN
        else:
            return running, "", ""
        if self.since < pause:
            rest = (pause - self.since) * self.interval
            return running, "pause", f"{why}, but cooldown for {rest:,.0f} s more"
        return target, "change", why
