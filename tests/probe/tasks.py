"""Tasks that use the database in good ways and bad, and write down each start in a ledger."""

import os
import time
from contextlib import suppress
from typing import Any

from celery import shared_task
from celery.exceptions import Reject, SoftTimeLimitExceeded
from django.core.cache import cache
from django.db import connection, transaction
from redis import Redis

SESSION = {
    "postgresql": "SELECT pg_backend_pid()",
    "mysql": "SELECT connection_id()",
    "sqlite": "SELECT 1",
}

# Not through Celery or Django, so that neither can hide what it did.
_ledger: Any = Redis.from_url(os.environ["LEDGER_URL"], max_connections=1000)


def session() -> int:
    """Return the number of the session at the database's server."""
    with connection.cursor() as cursor:
        cursor.execute(SESSION[connection.vendor])
        return int(cursor.fetchone()[0])


@shared_task(ignore_result=True)
def touch(number: int, pause: float = 0) -> None:
    """Ask the database twice, with a pause between (seconds)."""
    _ledger.hincrby("started", number, 1)
    session()
    time.sleep(pause)
    session()
    _ledger.hincrby("done", number, 1)


@shared_task(ignore_result=True)
def note(name: str) -> None:
    """Write down the session, and the process."""
    _ledger.rpush(name, f"{os.getpid()} {session()}")


@shared_task
def use_clients(name: str) -> str:
    """Use the cache, leave a result, and write down the connection to the cache."""
    cache.set("used", 1)
    client: Any = cache._cache.get_client()
    _ledger.rpush(name, f"{os.getpid()} {client.client_id()}")
    return name


@shared_task(ignore_result=True)
def sleep(name: str) -> None:
    """Wait for a moment, without the database."""
    time.sleep(0.05)
    _ledger.rpush(name, f"{os.getpid()} 0")


@shared_task(ignore_result=True)
def wait_in_database(name: str) -> None:
    """Have the database itself wait for two seconds."""
    statement = {"postgresql": "SELECT pg_sleep(2)", "mysql": "SELECT sleep(2)"}
    _ledger.rpush(f"{name} began", os.getpid())
    with connection.cursor() as cursor:
        cursor.execute(statement[connection.vendor])
    _ledger.rpush(name, _ledger.llen(f"{name} began"))


@shared_task(ignore_result=True)
def commit_slowly(name: str) -> None:
    """Commit what the database takes its time for."""
    _ledger.rpush(f"{name} began", os.getpid())
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("INSERT INTO slow VALUES (1)")
    _ledger.rpush(name, _ledger.llen(f"{name} began"))


@shared_task(ignore_result=True)
def end_session(name: str) -> None:
    """End the session that it uses itself."""
    _ledger.rpush(name, os.getpid())
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")


@shared_task(ignore_result=True)
def wait_in_transaction(name: str) -> None:
    """Have the database itself wait, inside a transaction."""
    with transaction.atomic():
        wait_in_database(name)


@shared_task(ignore_result=True)
def leave_transaction_open(name: str) -> None:
    """Begin a transaction, and never end it."""
    transaction.atomic().__enter__()
    _ledger.rpush(name, f"{os.getpid()} {session()}")


@shared_task(ignore_result=True)
def leave_autocommit_off(name: str) -> None:
    """Begin a transaction by hand, and never end it."""
    transaction.set_autocommit(False)
    _ledger.rpush(name, f"{os.getpid()} {session()}")


@shared_task(ignore_result=True)
def break_transaction(name: str) -> None:
    """Fail inside a transaction, and go on as if nothing had happened."""
    _ledger.rpush(name, f"{os.getpid()} {session()}")
    transaction.set_autocommit(False)
    with connection.cursor() as cursor:
        cursor.execute("SELECT nothing FROM nowhere")


@shared_task(ignore_result=True)
def spawn(name: str) -> None:
    """Use the database in a greenlet that ends, or is killed, with its connection in hand."""
    import gevent

    greenlet = gevent.spawn(session)
    greenlet.join()
    killed = gevent.spawn(lambda: (session(), gevent.sleep(600)))
    gevent.sleep(0.2)
    killed.kill()
    _ledger.rpush(name, f"{os.getpid()} 0")


@shared_task(ignore_result=True)
def hang(name: str) -> None:
    """Hold a connection until somebody ends it."""
    _ledger.rpush(name, f"{os.getpid()} {session()}")
    time.sleep(600)


@shared_task(ignore_result=True)
def time_out(name: str) -> None:
    """Give up on something asynchronous."""
    import asyncio

    _ledger.rpush(name, "began")
    asyncio.run(asyncio.wait_for(asyncio.sleep(600), 0.1))


@shared_task(ignore_result=True)
def run_a_loop(name: str) -> None:
    """Run an asyncio loop until somebody has seen enough."""
    import asyncio

    async def wait() -> None:
        while not _ledger.exists("enough"):
            await asyncio.sleep(0.1)

    _ledger.rpush(name, "started")
    asyncio.run(wait())


@shared_task(ignore_result=True)
def hold(name: str) -> None:
    """Run until somebody has seen enough of it."""
    _ledger.rpush(name, "began")
    while not _ledger.exists(f"enough of {name}"):
        time.sleep(0.05)
    _ledger.rpush(name, "done")


@shared_task(ignore_result=True)
def spin(name: str) -> None:
    """Keep its process busy for three seconds, and let no other greenlet have its turn."""
    time.sleep(0.5)  # until the others wait for something
    _ledger.rpush(name, "began")
    end = time.monotonic() + 3
    while time.monotonic() < end:
        pass
    _ledger.rpush(f"{name} done", "done")


@shared_task(ignore_result=True)
def die(name: str, signal: int) -> None:
    """Kill the process that it runs in: with a signal, or where that is 0, by leaving."""
    _ledger.rpush(name, os.getpid())
    time.sleep(0.5)  # until others run beside it
    os.kill(os.getpid(), signal) if signal else os._exit(1)


@shared_task(ignore_result=True)
def leave(name: str) -> None:
    """Leave, as a script does."""
    _ledger.rpush(name, os.getpid())
    raise SystemExit(name)


def stall() -> None:
    """Go on after the soft limit."""
    with suppress(SoftTimeLimitExceeded):
        time.sleep(600)
    time.sleep(600)


@shared_task(bind=True, ignore_result=True, max_retries=1)
def fail(self: Any, name: str, how: str = "") -> None:
    """Fail in some way, until somebody has mended it."""
    _ledger.rpush(name, how)
    if _ledger.exists(f"mended {name}"):
        return
    if how == "retries":
        raise self.retry(countdown=0, exc=RuntimeError(how))
    if how == "unsendable":
        raise self.retry(args=(object(),))
    if how == "memory":
        raise MemoryError(how)
    if how == "reject":
        raise Reject(how, requeue=False)
    if how == "time":
        stall()
    raise RuntimeError(how)


@shared_task
def tell(name: str) -> str:
    """Note something, and return it."""
    _ledger.rpush(name, "told")
    return name


@shared_task
def answer(name: str) -> object:
    """Return what is no JSON."""
    _ledger.rpush(name, "answered")
    return object()


@shared_task(bind=True, ignore_result=True, max_retries=3)
def retry_once(self: Any, name: str) -> None:
    """Fail at first, and try again at once."""
    _ledger.rpush(name, self.request.retries)
    if not self.request.retries:
        raise self.retry(countdown=0)


@shared_task
def tell_and_fail(name: str) -> None:
    """Note something, and fail."""
    _ledger.rpush(name, "told")
    raise RuntimeError(name)


@shared_task(acks_late=False)
def tell_early(name: str) -> str:
    """Be acknowledged, note something, and return it."""
    _ledger.rpush(name, "told")
    return name


@shared_task(bind=True, max_retries=1)
def hold_and_retry(self: Any, name: str) -> None:
    """Run until somebody has seen enough of it, and try again."""
    _ledger.rpush(name, self.request.retries)
    if not self.request.retries:
        hold(f"{name} before")
        raise self.retry(countdown=1)


@shared_task(ignore_result=True)
def first_step(name: str) -> None:
    """Write down that a chain has begun, and wait until somebody has seen it."""
    hold(f"{name} began")


@shared_task(bind=True, ignore_result=True, max_retries=9)
def follow(self: Any, name: str, script: list[str]) -> None:
    """Do what a script says for this start of it."""
    match script[int(_ledger.rpush(name, os.getpid())) - 1]:
        case "die":
            os._exit(1)
        case "retry":
            # Its first message is acknowledged by then: else both would die, and both be counted.
            raise self.retry(countdown=1)
        case "stall":
            stall()
        case "end late":
            hold(f"{name} before it ends")
        case "fail late":
            hold(f"{name} before it fails")
            raise RuntimeError(name)
        case "fail":
            raise RuntimeError(name)
