"""Whether databases have connections to spare for more processes of workers."""

from collections.abc import Sequence

from django.db import connections

from workers.capacity import UnknownLimitError, limit, shares
from workers.worker import Worker


def excess(workers: Sequence[Worker]) -> str:
    """Return in words what these would take too much, or nothing. Raises django.db.Error."""
    for alias in connections:
        total = sum(share.most for share in shares(alias, workers))
        try:
            allowed = limit(alias)
        except UnknownLimitError:
            connections[alias].ensure_connection()  # not because it is away
            continue
        if allowed is not None and total > allowed:
            return f"{total} connections to {alias!r}, and its server allows {allowed}"
    return ""
