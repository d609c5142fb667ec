"""Faults of the database, and of the result backend."""

import time
from contextlib import ExitStack

import psycopg
import pytest

from tests.faults.broker_faults import AWAY
from tests.faults.cells import Fault
from tests.faults.programs import awaited
from tests.faults.scene import Scene
from tests.faults.servers import MAX_CONNECTIONS
from tests.faults.worker_faults import died_of

FORKS = "only prefork forks"
END_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
TABLES = ("orders_job", "loyalty_entry")
# Every fifth write is refused, as PostgreSQL itself does; the sequence counts beyond the rollback.
CONFLICTS = """
CREATE SEQUENCE conflicts; CREATE SEQUENCE writes;
CREATE FUNCTION conflict() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF nextval('writes') % 5 = 0 THEN
    IF nextval('conflicts') % 2 = 0 THEN
      RAISE EXCEPTION 'deadlock detected' USING ERRCODE = '40P01';
    END IF;
    RAISE EXCEPTION 'could not serialize access' USING ERRCODE = '40001';
  END IF;
  RETURN NEW;
END $$
"""


def restarted(scene: Scene) -> str:
    """It is away for a while."""
    scene.servers.restart_postgresql(AWAY)
    return "stopped and started"


def sessions_ended(scene: Scene) -> str:
    """In mid-task, three times."""
    ended = 0
    for _ in range(3):
        ended += scene.sessions("count(pg_terminate_backend(pid))")
        time.sleep(1)
    assert ended, "there was no session"
    return f"{ended} sessions terminated"


def exhausted(scene: Scene) -> str:
    """Somebody else takes every connection that there is, those of the project as they end."""
    ours = scene.database.rpartition("/")[2]
    with ExitStack() as stack:
        taken = []
        end = time.monotonic() + AWAY
        while time.monotonic() < end:
            try:
                one = psycopg.connect(scene.servers.postgresql, connect_timeout=3, autocommit=True)
                taken.append(stack.enter_context(one))
            except psycopg.OperationalError:
                taken[0].execute(END_SESSIONS, (ours,))
        with pytest.raises(
            psycopg.OperationalError, match=r"too many clients|remaining connection"
        ):
            psycopg.connect(scene.database, connect_timeout=3).close()
    assert len(taken) > MAX_CONNECTIONS / 2, f"only {len(taken)} connections were taken"
    return f"{len(taken)} of {MAX_CONNECTIONS} connections taken"


def forked(scene: Scene) -> str:
    """Children are forked by a process that is connected; one more, after a child died."""
    for worker in scene.workers:
        inodes = {c.laddr.port for c in worker.process.net_connections() if c.raddr}
        assert inodes, "the main process is not connected"
    scene.arm("die-in-charge")
    return f"child {died_of(scene, 'die-in-charge')} replaced by one of a connected parent"


def results_away(scene: Scene) -> str:
    """Nobody can write down how a task ended."""
    proxy = scene.proxies["results"]
    proxy.refuses = True
    cut = proxy.cut()
    assert cut, "there was no connection to cut"
    time.sleep(2 * AWAY)
    proxy.refuses = False
    return f"{cut} connections cut"


def conflicting(scene: Scene) -> str:
    """Deadlocks and serialization failures, as the server reports them."""
    with psycopg.connect(scene.database, autocommit=True) as connection:
        connection.execute(CONFLICTS.encode())
        for table in TABLES:
            connection.execute(
                f"CREATE TRIGGER conflict BEFORE INSERT ON {table} "
                "FOR EACH ROW EXECUTE FUNCTION conflict()".encode()
            )

        def conflicts() -> int:
            row = connection.execute("SELECT last_value, is_called FROM conflicts").fetchone()
            return int(row[0]) if row and row[1] else 0

        awaited(lambda: conflicts() >= 5, 30, "conflicts have happened")
        count = conflicts()
        connection.execute("DROP FUNCTION conflict CASCADE")
    return f"{count} conflicts"


DATABASE_FAULTS = [
    # What both workers have in hand, of 20 slots each, goes back with each session, and again after
    # a pause while there is none.
    Fault("D1", "restart", restarted, away="database", extra=120),
    Fault("D2", "sessions terminated", sessions_ended, extra=120),
    Fault("D3", "connections exhausted", exhausted, away="database", extra=120),
    Fault(
        "D4",
        "sessions behind PgBouncer terminated",
        sessions_ended,
        bounced=True,
        extra=120,
        answers={"db_connection": "pgbouncer"},
    ),
    Fault(
        "D5",
        "forked while connected",
        forked,
        pools=("prefork",),
        reason=FORKS,
        extra=4,
        environment={"FAULT_FORK_CONNECTED": "1"},
    ),
    Fault(
        "D6",
        "result backend away",
        results_away,
        proxied=frozenset({"results"}),
        answers={"result_backend": "redis"},
        # Gives up sooner, as the limits are shorter.
        settings={
            "CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS": {
                "retry_policy": {
                    "max_retries": 1,
                    "interval_start": 0,
                    "interval_step": 0.2,
                    "interval_max": 0.2,
                }
            }
        },
        extra=120,  # what both workers have in hand, of 20 slots each, goes back every few seconds
    ),
    Fault("D7", "deadlocks, serialization failures", conflicting, may_fail=True, extra=40),
]
