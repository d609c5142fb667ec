"""Parks what fails for good, in the process that ran it and before its message is acknowledged."""

import time
import traceback
from typing import Any

from celery import signals
from celery.exceptions import Ignore, Reject, TaskPredicate
from celery.utils.log import get_logger
from django.conf import settings
from django.db import Error

from workers import connections
from workers.dead_letters import park_request
from workers.models import DeadLetter

logger = get_logger(__name__)


def keep(task: Any, error: BaseException) -> None:
    """Park the running task.

    Raises Reject where the database is away, so that its message goes back, and Ignore where another
    worker has done the task: it was taken over from this one, which was frozen or cut off.
    """
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
