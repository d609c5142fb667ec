"""What happens to connections to a database around a task, under each strategy and pool.

Each connection is made fit for the next task, and closed only where the strategy in
config/settings/connections.py has it so. No task needs to know; workers/fixup.py calls this.
"""

import inspect
import os
import sys
from typing import Any

from celery.utils.log import get_logger
from django.conf import settings
from django.core.exceptions import SynchronousOnlyOperation
from django.db import Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from workers import health_checks
from workers.budget import CLOSED, POOLED, held, pool_size
from workers.pools import offers
from workers.reconnect import try_again
from workers.worker import Worker

logger = get_logger(__name__)

if "eventlet" in sys.modules:
    # psycopg waits in C, where no other greenlet gets its turn. It notices gevent by itself.
    os.environ.setdefault("PSYCOPG_WAIT_FUNC", "wait_select")

# Said where one task has made all the others of its process fail.
ASYNCIO_UNDER_GREENLETS = (
    "Under gevent and eventlet all tasks of a process share a thread. While one of them runs an "
    "asyncio loop there, Django refuses the database to all. Route the task that calls asyncio.run() "
    "or async_to_sync() to a worker with the pool prefork or threads, in config/queues.py."
)

# What a child inherits: neither closed, which would end its parent's sessions, nor collected.
_inherited: list[object] = []


def configure(pool: str, most: int) -> None:
    """Set how this process opens connections.

    pool: the name of the worker's pool.
    most: how many tasks at once it runs.
    """
    short, long = settings.PARKING_PAUSE, settings.CELERY_TASK_SOFT_TIME_LIMIT
    for connection in connections.all():
        database = connections.settings[connection.alias]
        how = held(settings.DATABASE_CONNECTION, connection.vendor, pool)
        if how in (CLOSED, POOLED):
            database["CONN_MAX_AGE"] = 0  # closed after each task, or given back
        if how == POOLED:
            database["CONN_HEALTH_CHECKS"] = True
            database["OPTIONS"]["pool"] = {
                "min_size": 0,
                "max_size": pool_size(Worker("", pool, most), largest_pool()),
                # A task that waits for longer goes back. A child has its pool to itself, and waits only
                # for a server that is away. Seconds.
                "timeout": short if offers(pool).forks else long,
                # By itself it tries that one ever more rarely: an outage would last twice as long.
                "reconnect_timeout": settings.PARKING_PAUSE,
                "reconnect_failed": try_again,
            }
        del connections[connection.alias]
        if how == POOLED and offers(pool).greenlets:
            outlive_greenlets(connections[connection.alias])


def outlive_greenlets(connection: Any) -> None:
    """Have the pool notice each greenlet that ends while it waits for a connection.

    A time limit, or a kill, raises what is no Exception, and psycopg looks for nothing else: it
    would hand the next connection to a greenlet that is no more, and never have it back.
    """
    module: Any = sys.modules[type(connection.pool).__module__]
    module.CLIENT_EXCEPTIONS = BaseException


def largest_pool() -> int:
    """Return how many connections the pool of a process may hold; where there is none, 1."""
    return int(getattr(settings, "DATABASE_POOL_SIZE", 1))


def settle() -> None:
    """Make every connection of this slot fit for its next task."""
    for connection in connections.all(initialized_only=True):
        try:
            if connection.in_atomic_block:
                logger.error("The task left a transaction open: it is rolled back.")
                close(connection)
            else:
                health_checks.settle(connection)
        except Error as error:
            logger.warning("A connection to %s is given up: %s", connection.alias, error)
            del connections[connection.alias]


def close_all(**kwargs: Any) -> None:
    """Close every connection of this process, thread or greenlet."""
    for connection in connections.all(initialized_only=True):
        close(connection)


def close(connection: BaseDatabaseWrapper) -> None:
    """Close a connection, in whatever state it is; the next query opens another."""
    # Past Django's refusal where an asyncio loop of somebody else runs in this thread.
    inspect.unwrap(type(connection).close)(connection)
    if connection.closed_in_transaction:
        del connections[connection.alias]


def forget() -> None:
    """Leave every connection, and every pool, to the parent of this process."""
    for connection in connections.all():
        pools = getattr(connection, "_connection_pools", {})
        _inherited.extend((connection, *pools.values()))
        pools.clear()
        del connections[connection.alias]


def give_back() -> None:
    """Let other tasks of this process have a borrowed connection, before a long wait.

    Does nothing where connections are kept, and inside a transaction.
    """
    for connection in connections.all(initialized_only=True):
        if getattr(connection, "pool", None) and not connection.in_atomic_block:
            connection.close()


def release_with_greenlet(connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    """Close a connection when its greenlet ends: killed, or started by a task of its own accord."""
    link = getattr(sys.modules["greenlet"].getcurrent(), "link", None)  # it comes with either pool
    # Once: a greenlet that stays, as the keeper's does, opens it again and again.
    if link and not connection.allow_thread_sharing:
        connection.inc_thread_sharing()
        link(lambda _: inspect.unwrap(type(connection).close)(connection))


def explain(exception: BaseException, **kwargs: Any) -> None:
    """Say what to do where an asyncio loop runs under greenlets."""
    if isinstance(exception, SynchronousOnlyOperation):
        exception.add_note(ASYNCIO_UNDER_GREENLETS)
