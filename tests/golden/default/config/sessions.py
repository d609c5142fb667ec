"""Tells where a session with PostgreSQL is over."""

import psycopg
from django.db import InternalError, OperationalError

# Classes and codes of https://www.postgresql.org/docs/current/errcodes-appendix.html: the connection,
# an operator's intervention, too many connections.
OVER = ("08", "57P", "53300")


def is_over(error: BaseException | None) -> bool:
    """Tell whether an error says that a session has ended, or that none can be had."""
    cause = error.__cause__ if error else None
    if not (
        isinstance(error, OperationalError | InternalError) and isinstance(cause, psycopg.Error)
    ):
        return False
    # What psycopg has found itself comes without a code, such as a socket that was closed, or two
    # answers to one COMMIT where PgBouncer has just lost its own session.
    return not cause.sqlstate or cause.sqlstate.startswith(OVER)
