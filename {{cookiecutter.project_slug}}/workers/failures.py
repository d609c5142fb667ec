"""Parks what fails for good, in the process that ran it and before its message is acknowledged."""

import time
import traceback
from typing import Any

from celery import signals
from celery.exceptions import Ignore, Reject, TaskPredicate
from celery.utils.log import get_logger
from django.conf import settings
from django.db import Error

from config.sessions import is_over
from workers import connections, tracing
from workers.dead_letters import park_request
from workers.models import DeadLetter

logger = get_logger(__name__)

# By gevent, eventlet, or Celery through one of them; they are no Exceptions.
KILLERS = {"GreenletExit", "Timeout"}


def keep(task: Any, error: Exception) -> None:
    """Park the running task; one that was acknowledged, and cannot be parked, is only logged.

    Raises Reject where a database is away, or has ended a session, so that its message goes back, and
    Ignore where another worker has done the task: it was taken over from this one, which was frozen
    or cut off. Raises what has killed its greenlet.
    """
    if killer := killed_by(error):
        raise killer
    # A message that was acknowledged before it ran cannot go back.
    if task.acks_late and is_over(error) and task.request.get("start", 1) < settings.POISON_STARTS:
        # This start stays counted (workers/poison.py): a task may end its session each time.
        task.request.counted = False
        connections.settle()
        raise give_back(task, error) from error
    history = "".join(traceback.format_exception(error))
    try:
        # A transaction that the task has left open would be rolled back, and the letter with it.
        connections.settle()
        kept = park_request(DeadLetter.Reason.FAILED, task.name, task.request, history)
    except Error as away:
        if not task.acks_late:
            logger.error("%s[%s] is kept nowhere: %s", task.name, task.request.id, away)
            task.request.parked = error
            return
        raise give_back(task, away) from error
    task.request.parked = error
    if not kept:
        raise Ignore("another worker has done it") from error


def killed_by(error: BaseException) -> BaseException | None:
    """Return what has killed a greenlet in mid-commit: Django raises an error of its own over it."""
    seen: list[BaseException] = []
    above: BaseException | None = error
    while isinstance(above, Exception) and above not in seen:
        seen.append(above)
        above = above.__cause__ or above.__context__
    masked = any(isinstance(each, Error) for each in seen)
    return above if masked and type(above).__name__ in KILLERS else None


@signals.task_failure.connect
def keep_other(sender: Any, exception: Exception, einfo: Any, **kwargs: Any) -> None:
    """Park what did not fail in its body: what it returned is no JSON, or its chain was not sent."""
    request = sender.request
    if request.called_directly or request.is_eager or vars(request).get("parked"):
        return
    try:
        keep(sender, exception)
    except TaskPredicate as instead:
        # What Celery then hands to whoever acknowledges; signals swallow what is raised.
        einfo.exception = instead


def give_back(task: Any, error: Exception) -> Reject:
    """Return what puts a message back, after a pause."""
    request = task.request
    logger.warning("%s[%s] goes back to the broker: %s", task.name, request.id, error)
    tracing.pause(task, vars(request).get("begun", time.monotonic()), request.timelimit)
    return Reject(error, requeue=True)
