"""Parks what fails for good, in the process that ran it and before its message is acknowledged."""

import time
import traceback
from typing import Any

from celery import signals
from celery.exceptions import Ignore, Reject, TaskPredicate
from celery.utils.log import get_logger
from django.conf import settings
from django.db import Error, InterfaceError, OperationalError
from django.db import connections as databases

from workers import connections
from workers.dead_letters import park_request
from workers.models import DeadLetter

logger = get_logger(__name__)

ENDED_SESSION = (OperationalError, InterfaceError)


def keep(task: Any, error: BaseException) -> None:
    """Park the running task.

    Raises Reject where a database is away, or has ended a session, so that its message goes back, and
    Ignore where another worker has done the task: it was taken over from this one, which was frozen
    or cut off. Raises what has killed its greenlet.
    """
    if killer := killed_by(error):
        raise killer
    if isinstance(error, ENDED_SESSION) and has_lost_a_session():
        # Not forgotten (workers/poison.py): a task may end its session each time.
        task.request.counted = False
        raise give_back(task, error) from error
    history = "".join(traceback.format_exception(error))
    try:
        # A transaction that the task has left open would be rolled back, and the letter with it.
        connections.settle()
        kept = park_request(DeadLetter.Reason.FAILED, task.name, task.request, history)
    except Error as away:
        raise give_back(task, away) from error
    task.request.parked = True
    if not kept:
        raise Ignore("another worker has done it") from error


def killed_by(error: BaseException | None) -> BaseException | None:
    """Return what has killed a greenlet in mid-transaction; Django raises its own error over it."""
    while isinstance(error, (Exception, SystemExit, KeyboardInterrupt, GeneratorExit)):
        error = error.__cause__ or error.__context__
    return error


def has_lost_a_session() -> bool:
    """Tell whether a session with a database has ended under this task, or could not be had."""
    return any(
        connection.errors_occurred and not (connection.connection and connection.is_usable())
        for connection in databases.all(initialized_only=True)
    )


@signals.task_failure.connect
def keep_other(sender: Any, exception: BaseException, einfo: Any, **kwargs: Any) -> None:
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
    """Return what puts a message back, after a pause: at once, it would come back at once."""
    logger.warning("%s[%s] goes back to the broker: %s", task.name, task.request.id, error)
    time.sleep(settings.PARKING_PAUSE)
    return Reject(error, requeue=True)
