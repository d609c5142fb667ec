"""SQLite: files, and no server."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# The name of the file for each variable.
FILES = {
    # % for alias, variable in topology(cookiecutter).databases.items()
    "{{variable}}": "{{ {'default': 'db'}.get(alias, alias) }}.sqlite3",
    # % endfor
}
VARIABLES = tuple(FILES)


@contextmanager
def running(folder: Path, hold: tuple[int, ...]) -> Iterator[dict[str, str]]:
    """Yield the variables of files in a folder."""
    yield {variable: f"sqlite:///{folder / name}" for variable, name in FILES.items()}
