"""Asks a connection that is in use every few seconds whether it still works, and not in each task.

A server that ends a session closes its socket, and that shows without a query. What only a query
finds, such as a firewall that has forgotten the connection, takes longer than these few seconds.
"""

import select
import time
from typing import Any

# How long an answer holds. Seconds.
FRESH = 10


def settle(connection: Any) -> None:
    """Close a connection that is broken or too old; have the next query ask, unless it is known to work.

    Raises django.db.Error where it is beyond repair.
    """
    now, known = time.monotonic(), vars(connection)
    if connection.health_check_done and not known.get("spared"):
        # It was asked, or opened, at some moment since the last call.
        known["worked_at"] = known.get("settled_at", 0)
    known["settled_at"] = now
    connection.close_if_unusable_or_obsolete()
    fresh = now - known.get("worked_at", 0) < FRESH
    known["spared"] = not connection.health_check_done and fresh and is_quiet(connection)
    if known["spared"]:
        connection.health_check_done = True


def is_quiet(connection: Any) -> bool:
    """Tell whether the server has neither hung up nor said anything that nobody has asked for."""
    fileno = getattr(connection.connection, "fileno", None)
    # eventlet takes `poll` away.
    if not fileno or not hasattr(select, "poll"):
        return False
    poll = select.poll()
    with connection.wrap_database_errors:
        poll.register(fileno(), select.POLLIN)
    return not poll.poll(0)
