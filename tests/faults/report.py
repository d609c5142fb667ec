"""What a run has found: a line of JSON for each cell, and the table."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

GOOD = ("proven", "degraded", "n/a", "refused", "not yet", "fails, as it must")


@dataclass
class Row:
    """One cell.

    recovery: from the fault to the last id that became final. Seconds.
    steady: until the throughput was back. Seconds.
    slowest, refused: the answers to the customers. Seconds, and a number.
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
    problems: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether the suite may pass with it."""
        return self.verdict.startswith(GOOD)


# Around the table in docs/faults.md.
BEGIN, END = "<!-- table -->", "<!-- end of the table -->"
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
)


def table(rows: Iterable[Row]) -> str:
    """Return the table, in Markdown."""
    lines = [_line(COLUMNS), _line(["---"] * len(COLUMNS))]
    return "\n".join([*lines, *map(_line_of, rows)])


def _line_of(row: Row) -> str:
    if not row.accepted:
        words = "; ".join(filter(None, [row.proof, *row.problems]))
        return _line([row.cell, row.title, *[""] * 8, f"{row.verdict}: {words}"])
    ended = ", ".join(map(str, (row.failed, row.dead, row.revoked)))
    figures = [row.accepted, row.completed, ended, row.lost, row.doubled, row.mail_repeated]
    duplicates = f"{row.duplicates} ({row.bound})"
    verdict = "; ".join([row.verdict, *row.problems])
    return _line([row.cell, row.title, *figures, duplicates, f"{row.recovery:.0f} s", verdict])


def _line(words: Iterable[object]) -> str:
    return f"| {' | '.join(str(word).replace('|', '/') for word in words)} |"


def write(page: Path, shown: str) -> None:
    """Put the table between the marks of a page."""
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{shown}\n{END}{after}")


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
