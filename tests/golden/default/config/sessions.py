"""Tells where a session with PostgreSQL is over."""

import psycopg
from django.db import OperationalError

# Classes and codes of https://www.postgresql.org/docs/current/errcodes-appendix.html: the connection,
# an operator's intervention, too many connections.
OVER = ("08", "57P", "53300")


def is_over(error: BaseException | None) -> bool:
    """Tell whether an error says that a session has ended, or that none can be had."""
    cause = error.__cause__ if error else None
    if not (isinstance(error, OperationalError) and isinstance(cause, psycopg.Error)):
        return False
    # What psycopg has found itself, such as a socket that was closed, comes without a code.
    return not cause.sqlstate or cause.sqlstate.startswith(OVER)
