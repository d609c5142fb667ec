"""SQLite: a file, and no server."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VARIABLES = ("DATABASE_URL",)


@contextmanager
def running(folder: Path, hold: tuple[int, ...]) -> Iterator[dict[str, str]]:
    """Yield the variable of a file in a folder."""
    yield {"DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}"}
