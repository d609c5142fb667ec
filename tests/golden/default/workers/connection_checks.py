"""System checks of the connections to the databases."""

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.core.checks import WARNING, CheckMessage, Error, Tags, register

from workers.capacity import UnknownLimitError, limit, shares
from workers.connections import largest_pool


@register("workers")
def check_sizes(**kwargs: Any) -> list[CheckMessage]:
    """Refuse a pool that holds no connection, and an age below zero."""
    found: list[CheckMessage] = []
    if (size := largest_pool()) < 1:
        reason = f"DATABASE_POOL_SIZE is {size}: no task would ever get a connection."
        found.append(Error(reason, "Use 1 or more; 20 is the default.", id="workers.E007"))
    if (age := getattr(settings, "DATABASE_MAX_AGE", 0)) < 0:
        reason = f"DATABASE_MAX_AGE is {age} s: no connection can be younger than that."
        found.append(Error(reason, "Use 0 or more; 600 is the default.", id="workers.E008"))
    return found


@register(Tags.database)
def check_budget(databases: Iterable[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Refuse more connections than a server allows (`manage.py check --database default`)."""
    return [found for alias in databases or () for found in _over_budget(alias)]


def _over_budget(alias: str) -> Iterable[CheckMessage]:
    taken = shares(alias)
    total, largest = sum(share.most for share in taken), max(taken, key=lambda share: share.most)
    try:
        allowed = limit(alias)
    except UnknownLimitError as error:
        yield CheckMessage(
            WARNING,
            f"PgBouncer does not say how many connections to {alias!r} it allows: {error}",
            "Name this user in `stats_users` of pgbouncer.ini.",
            id="workers.W001",
        )
        return
    if allowed is not None and total > allowed:
        yield Error(
            f"This deployment may open {total} connections to {alias!r}, and its server allows "
            f"{allowed}: some tasks and requests would fail under load.",
            f"Have the server allow {total}, or shrink {largest.name!r}, which may open "
            f"{largest.most} ({largest.processes} x {largest.how}). "
            "`manage.py connection_budget` shows all.",
            id="workers.E009",
        )
