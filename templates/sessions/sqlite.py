"""Tells where SQLite's file cannot be had."""

import sqlite3

from django.db import OperationalError

OVER = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_CANTOPEN}
PRIMARY = 0xFF  # of a result code, the part that all of its kind share


def is_over(error: BaseException | None) -> bool:
    """Tell whether an error says that others have held the file for too long, or that it cannot be opened."""
    cause = error.__cause__ if error else None
    if not (isinstance(error, OperationalError) and isinstance(cause, sqlite3.Error)):
        return False
    # One that Python has found itself comes without a code.
    return getattr(cause, "sqlite_errorcode", 0) & PRIMARY in OVER
