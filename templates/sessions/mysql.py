"""Tells where a session with MySQL is over."""

from django.db import InterfaceError, OperationalError

# Of https://dev.mysql.com/doc/mysql-errors/en/ and https://mariadb.com/docs/server/reference/error-codes:
# too many connections, a shutdown, a session that was killed, idle for too long, or aborted; no
# server, gone, lost. The client says 0 of a connection that is closed.
OVER = {
    1040,
    1203,
    1053,
    1152,
    1158,
    1159,
    1160,
    1161,
    1927,
    3169,
    4031,
    2002,
    2003,
    2006,
    2013,
    2055,
    0,
}


def is_over(error: BaseException | None) -> bool:
    """Tell whether an error says that a session has ended, or that none can be had."""
    if not (isinstance(error, (OperationalError, InterfaceError)) and error.__cause__):
        return False
    return bool(error.args) and error.args[0] in OVER
