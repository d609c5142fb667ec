"""Parks a task that comes to no end, as it kills its process each time, after a few starts.

A first delivery costs nothing: only of messages that were handed out before, each start is a row, and
gone once the task has ended.
"""

import sys
import time
from threading import Condition
from typing import Any

from celery import signals
from celery.exceptions import Ignore, Reject
from celery.utils.log import get_logger
from django.conf import settings
from django.db import Error

from config.sessions import is_over
from workers import connections, dead_letters, failures
from workers.models import DeadLetter, Start

logger = get_logger(__name__)

# Where tasks share a process it may have died of any of them. Of those that were in it twice one runs
# at a time, and none that was in it once: only the one that kills it again is counted again.
_turns = Condition()
_others: list[bool] = []  # those that run, and whether each has to be alone
# What a suspect waits for its turn comes off the time that it may run: so much at most, as a part of it.
PATIENCE = 1 / 10
# What has run for so long may have been taken from a worker that was frozen. Seconds.
LONG = 5


class PoisonError(Exception):
    """A task that was started again and again, and has never ended."""


def guard(task: Any) -> None:
    """Count a start, or refuse it. Called in autocommit: the fixup has settled the connection.

    Raises PoisonError once it is parked, Ignore where that is too late, and Reject where it is given
    back: the database is away, or other suspects take their time.
    """
    request = task.request
    request.begun = time.monotonic()
    # One that is acknowledged before it runs comes once, and could not be given back.
    if not (task.acks_late and is_redelivered(request)):
        return
    try:
        starts = list(Start.objects.filter(task_id=request.id).order_by("started_at"))
        if len(starts) < settings.POISON_STARTS - 1:
            _wait_for_turn(task, alone=bool(starts))
            Start.objects.create(task_id=request.id, worker=request.hostname)
            request.counted, request.start = True, len(starts) + 2
            return
        history = "It came to no end at its first start, nor at any of these:\n" + "\n".join(
            f"{start.started_at:%F %T} on {start.worker}" for start in starts
        )
        # Its starts stay counted until the letter is settled: its message may yet come back.
        kept = dead_letters.park_request(DeadLetter.Reason.POISON, task.name, request, history)
    except Error as away:
        raise failures.give_back(task, away) from away
    request.parked = True
    if not kept:
        raise Ignore("another worker has done it")
    raise PoisonError(
        f"It was started {settings.POISON_STARTS} times and came to no end; it is a dead letter now."
    )


def _wait_for_turn(task: Any, alone: bool) -> None:
    connections.give_back()
    limit = task.request.time_limit or task.time_limit or settings.CELERY_TASK_TIME_LIMIT
    with _turns:
        if not _turns.wait_for(lambda: not (_others if alone else any(_others)), limit * PATIENCE):
            raise Reject("other tasks that may have killed their process come first", requeue=True)
        _others.append(alone)
    task.request.alone = alone


@signals.task_postrun.connect
def ended(sender: Any, state: str | None = None, **kwargs: Any) -> None:
    """Forget the starts of a task that has ended in Python.

    state: None where it has not: what it raised ends its process, or somebody killed its greenlet.
    """
    request = sender.request
    if not is_redelivered(request):
        return
    try:
        # Of a transaction that the task has left open, what follows would be a part.
        connections.settle()
        # What was given back before it started has not ended, nor has one whose result lost its session.
        error = sys.exception()
        in_python = state or isinstance(error, Exception)
        if in_python and vars(request).get("counted") and not is_over(error):
            forget(request.id)
    except Error as error:
        logger.warning("The starts of %s[%s] stay: %s", sender.name, request.id, error)
    finally:
        if (alone := vars(request).get("alone")) is not None:
            with _turns:
                _others.remove(alone)
                _turns.notify_all()


@signals.task_success.connect
def succeeded(sender: Any, **kwargs: Any) -> None:
    """Take back a failure of whoever had it beside: who was killed, or was frozen and fails yet.

    By now its chain is sent, and its result stored: with its body it has not succeeded yet.
    """
    request = sender.request
    if is_redelivered(request) or time.monotonic() - vars(request).get("begun", 0) > LONG:
        try:
            connections.settle()
            dead_letters.note_done(sender.name, request)
        except Error as error:
            logger.warning("A letter of %s[%s] may stay: %s", sender.name, request.id, error)


def forget(task_id: str) -> None:
    """Forget the starts of a task."""
    Start.objects.filter(task_id=task_id).delete()


def is_redelivered(request: Any) -> bool:
    """Tell whether the broker has handed the message out before."""
    return bool((request.delivery_info or {}).get("redelivered"))
