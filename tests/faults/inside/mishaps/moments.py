"""The moments in which a process may die, hang or grow."""

import os
import signal
import time
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn

from celery import signals
from django.db import connection

import loyalty.services
import orders.services
import orders.tasks
from mishaps.ledger import claim, is_poison, note
from workers.delivery import Task

STALL = 60  # seconds; longer than any limit of the test's
LARGE = 500 * 2**20  # bytes, above what a child may grow to

# They are kept, or they would be forgotten with the call that connects them.
_receivers: list[Any] = []


def die() -> NoReturn:
    """End this process at once, as the kernel would."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise SystemExit


def stall() -> None:
    """Hang, whoever wants to interrupt."""
    end = time.monotonic() + STALL
    while (left := end - time.monotonic()) > 0:
        try:
            time.sleep(left)
        except Exception as error:
            # The soft limit; the hard one of greenlets must get through.
            if type(error).__name__ != "SoftTimeLimitExceeded":
                raise


def grow() -> None:
    """Take more memory than a child may have."""
    _ = b"x" * LARGE


# What may happen within a step.
MISHAPS: dict[str, Callable[[], None]] = {"die": die, "stall": stall, "grow": grow}


def watch() -> None:
    """Be there at each moment."""
    orders.services.charge = _within(orders.services.charge)
    loyalty.services.book = _within(loyalty.services.book)
    # No test waits for the pauses before eight further attempts.
    orders.tasks.call_gateway.max_retries = int(os.environ.get("FAULT_RETRIES", "8"))
    # A second of CPU for four orders would be all that is measured here.
    orders.services.SEAL_ROUNDS = 1_000
    # Not before: a task that waits for its turn may be put back, and has not begun.
    Task.__call__ = _begins(Task.__call__)  # type: ignore[method-assign]
    _when(signals.task_postrun, _done)
    _when(signals.before_task_publish, _publishes)
    if os.environ.get("FAULT_FORK_CONNECTED"):
        _when(signals.worker_init, lambda **_: connection.ensure_connection())


def _when(moment: Any, receiver: Callable[..., None]) -> None:
    _receivers.append(receiver)
    moment.connect(receiver)


def _within(step: Callable[..., None]) -> Callable[..., None]:
    @wraps(step)
    def run(key: str, *args: Any) -> None:
        if is_poison(key):
            note("poisoned", key, os.getpid())
            die()
        for name, mishap in MISHAPS.items():
            if claim(f"{name}-in-{step.__name__}"):
                note("mishaps", name, key, os.getpid())
                mishap()
        step(key, *args)

    return run


def _begins(call: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(call)
    def run(task: Any, *args: Any, **kwargs: Any) -> Any:
        request, key = task.request, args[0] if args else "-"
        if not (request.called_directly or request.is_eager):
            note("starts", request.id, request.retries, task.name, key, os.getpid(), time.time())
        return call(task, *args, **kwargs)

    return run


def _done(sender: Any = None, args: Any = (), **kwargs: Any) -> None:
    """Die with the effect committed and the message not yet acknowledged."""
    if claim(f"die-after-{sender.name}"):
        note("mishaps", "die-after", args[0] if args else "-", os.getpid())
        # The main process first, which would acknowledge for its child; of greenlets, threads and
        # solo, it is this one.
        if os.environ["FAULT_POOL"] == "prefork":
            os.kill(os.getppid(), signal.SIGKILL)
        die()


def _publishes(sender: Any = None, body: Any = None, **kwargs: Any) -> None:
    """Die between the commit and the publish."""
    if claim(f"die-before-{sender}"):
        note("mishaps", "die-before", body[0][0], os.getpid())
        die()
