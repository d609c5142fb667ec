"""Files that survive the process: what has started, and which mishaps are armed."""

import os
from pathlib import Path

FOLDER = Path(os.environ.get("FAULT_LEDGER", "."))


def note(name: str, *words: object) -> None:
    """Append a line to a file: one write, so that no other process comes in between."""
    line = " ".join(map(str, words)) + "\n"
    file = os.open(FOLDER / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


def claim(mishap: str) -> bool:
    """Tell whether a mishap is armed, and disarm it: one process alone is told so."""
    try:
        (FOLDER / "armed" / mishap).rename(FOLDER / "fired" / mishap)
    except FileNotFoundError:
        return False
    return True


def is_poison(name: str) -> bool:
    """Tell whether whoever works on an id must die of it."""
    return (FOLDER / "poison" / name).exists()
