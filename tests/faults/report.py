"""What a run has found: a line of JSON for each cell, and the tables."""

import json
import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.baked import TEMPLATE

GOOD = ("proven", "degraded", "n/a", "refused", "not yet", "fails, as it must")


@dataclass
class Row:
    """One cell.

    recovery: from the fault to the last id that became final. Seconds.
    steady: until the throughput was back. Seconds.
    slowest, refused: the answers to the customers. Seconds, and a number.
    commit: of the template.
    """

    cell: str
    title: str
    verdict: str = ""
    proof: str = ""
    in_flight: int = 0
    accepted: int = 0
    completed: int = 0
    failed: int = 0
    dead: int = 0
    revoked: int = 0
    lost: int = 0
    doubled: int = 0
    mail_repeated: int = 0
    duplicates: int = 0
    bound: int = 0
    recovery: float = 0.0
    steady: float | None = None
    slowest: float = 0.0
    refused: int = 0
    seconds: float = 0.0
    commit: str = ""
    problems: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether the suite may pass with it."""
        return self.verdict.startswith(GOOD)


# Around the tables in README.md and docs/faults.md.
BEGIN, END = "<!-- table -->", "<!-- end of the table -->"
KINDS = {
    "W": "a worker",
    "B": "the broker",
    "P": "who publishes",
    "D": "the database",
    "T": "a task",
    "S": "the schedule, a deployment",
}
COLUMNS = (
    "cell",
    "fault",
    "accepted",
    "completed",
    "failed, dead, revoked",
    "lost",
    "doubled",
    "mail again",
    "duplicates (bound)",
    "recovered in",
    "verdict",
    "commit",
)
SUMMARY = (
    "what is broken",
    "cells",
    "accepted",
    "lost",
    "doubled",
    "mail again",
    "began twice",
    "recovered in, at the most",
)
# What the template renders projects from.
SOURCES = (
    "topology.py",
    "hooks",
    "templates",
    "cookiecutter.json",
    "{{cookiecutter.project_slug}}",
)


def table(rows: Iterable[Row]) -> str:
    """Return the table, in Markdown."""
    lines = [_line(COLUMNS), _line(["---"] * len(COLUMNS))]
    return "\n".join([*lines, *map(_line_of, rows)])


def summary(rows: Iterable[Row]) -> str:
    """Return a table with a line for each kind of fault, in Markdown."""
    rows = list(rows)
    lines = [_line(SUMMARY), _line(["---"] * len(SUMMARY))]
    for letter, kind in KINDS.items():
        ours = [row for row in rows if row.cell.startswith(letter)]
        if not ours:  # a line of zeros would read as a result
            continue
        verdicts = Counter(row.verdict.partition(" (")[0] for row in ours)
        words = ", ".join(f"{number} {verdict}" for verdict, number in verdicts.most_common())
        sums = [
            sum(getattr(row, name) for row in ours)
            for name in ("accepted", "lost", "doubled", "mail_repeated", "duplicates")
        ]
        slowest = max(row.recovery for row in ours)
        lines.append(_line([kind, words, *sums, f"{slowest:.0f} s"]))
    return "\n".join(lines)


def so_far(rows: Sequence[Row], cells: int) -> str:
    """Return a sentence that says how much of a run is there."""
    return f"{len(rows)} of the {cells} cells of the full run have been run."


def _line_of(row: Row) -> str:
    if not row.accepted:
        words = "; ".join(filter(None, [row.proof, *row.problems]))
        return _line([row.cell, row.title, *[""] * 8, f"{row.verdict}: {words}", row.commit])
    ended = ", ".join(map(str, (row.failed, row.dead, row.revoked)))
    figures = [row.accepted, row.completed, ended, row.lost, row.doubled, row.mail_repeated]
    duplicates = f"{row.duplicates} ({row.bound})"
    verdict = "; ".join([row.verdict, *row.problems])
    recovery = f"{row.recovery:.0f} s"
    return _line([row.cell, row.title, *figures, duplicates, recovery, verdict, row.commit])


def _line(words: Iterable[object]) -> str:
    return f"| {' | '.join(str(word).replace('|', '/') for word in words)} |"


def write(page: Path, shown: str) -> None:
    """Put something between the marks of a page."""
    page.write_text(written(page.read_text(), shown))


def written(text: str, shown: str) -> str:
    """Return a page with something else between its marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{shown}\n{END}{after}"


def commit() -> str:
    """Return the commit that projects are rendered from, with a + where they differ from it."""
    head = _git("rev-parse", "--short", "HEAD")
    return f"{head}+" if _git("status", "--porcelain", "--", *SOURCES) else head


def _git(*command: str) -> str:
    ended = subprocess.run(
        ["git", *command], cwd=TEMPLATE, check=True, capture_output=True, text=True
    )
    return ended.stdout.strip()


class Results:
    """The rows of a run so far, kept in a file, for a run that was interrupted to go on."""

    def __init__(self, file: Path) -> None:
        self.file = file
        file.parent.mkdir(parents=True, exist_ok=True)

    def rows(self) -> dict[str, Row]:
        """Return what was found, by cell: the latest of each."""
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        found = (Row(**json.loads(line)) for line in lines)
        return {row.cell: row for row in found}

    def add(self, row: Row) -> None:
        """Keep a row."""
        with self.file.open("a") as file:
            file.write(json.dumps(asdict(row)) + "\n")
