"""How many connections this deployment may open to each database, and how many its server allows."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connections

from config.queues import WORKERS
from workers.budget import Share, covers_keeper, share
from workers.connections import largest_pool
from workers.pools import offers
from workers.worker import Worker

# The connections that anybody may use: those of the server, of this database and of this role.
POSTGRESQL = """
    SELECT least(
        current_setting('max_connections')::int
            - current_setting('superuser_reserved_connections')::int
            - coalesce(current_setting('reserved_connections', true), '0')::int,
        (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database()),
        (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user)
    )
"""
MYSQL = "SELECT least(@@max_connections, coalesce(nullif(@@max_user_connections, 0), 100000))"


class UnknownLimitError(Exception):
    """PgBouncer does not tell its limits."""


def shares(alias: str, workers: Sequence[Worker] | None = None) -> list[Share]:
    """Return what each kind of process may take of the connections to a database.

    workers: those that are declared, where nothing else is said.
    """
    workers = WORKERS if workers is None else workers
    vendor, strategy = connections[alias].vendor, settings.DATABASE_CONNECTION
    taken = [share(worker, strategy, vendor, largest_pool()) for worker in workers]
    apart = [
        each.processes
        for worker, each in zip(workers, taken, strict=True)
        if not covers_keeper(worker, strategy, vendor, largest_pool())
    ]
    keepers = [Share("keepers", sum(apart), 1, "1 for a moment")] if apart else []
    return [*taken, *keepers, *_others(workers)]


def _others(workers: Sequence[Worker]) -> Iterator[Share]:
    web = settings.WEB_THREADS
    yield Share("web", settings.WEB_CONCURRENCY, web, f"{web}, one a thread")
    if apps.is_installed("django_celery_results"):
        # Of a task that was revoked, or whose child was killed.
        apart = [worker for worker in workers if not offers(worker.pool).greenlets]
        processes = sum(share(worker, "", "", 1).processes for worker in apart)
        yield Share("main processes", processes, 1, "1 for results")
    if hasattr(settings, "CELERY_BEAT_SCHEDULER"):
        yield Share("beat", 1, 1, "1 persistent")
    yield Share("a command", 1, 1, "1, such as migrate")


def limit(alias: str) -> int | None:
    """Return how many connections the server of a database allows, or None where it has no limit.

    Raises UnknownLimitError.
    """
    connection = connections[alias]
    if settings.DATABASE_CONNECTION == "pgbouncer" and (told := _pgbouncer(alias)):
        return int(told["max_client_conn"])
    statement = {"postgresql": POSTGRESQL, "mysql": MYSQL}.get(connection.vendor)
    if statement is None:
        return None
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return int(cursor.fetchone()[0])


def _pgbouncer(alias: str) -> dict[str, str]:
    """Return PgBouncer's configuration, or nothing where there is a PostgreSQL in its place.

    Raises UnknownLimitError where it is not told to this user.
    """
    connection: Any = connections[alias]
    parameters = connection.get_connection_params()
    given = {name: parameters.get(name) for name in ("host", "port", "user", "password")}
    psycopg = connection.Database
    try:
        with psycopg.connect(dbname="pgbouncer", autocommit=True, **given) as console:
            # Without parameters, because the console knows the simple protocol only.
            return {row[0]: row[1] for row in console.execute("SHOW CONFIG")}
    except psycopg.Error as error:
        if "does not exist" in str(error):
            return {}
        raise UnknownLimitError(str(error)) from error
