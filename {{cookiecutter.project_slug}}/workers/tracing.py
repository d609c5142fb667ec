"""Gives back a task whose end nobody could write down.

Celery's pools of one process would keep its message and its slot until the worker is started anew.
"""

import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from billiard.einfo import ExceptionInfo
from celery import Celery, states
from celery.app.trace import TraceInfo, trace_ok_t
from celery.exceptions import Reject, WorkerShutdown, WorkerTerminate
from celery.utils.log import get_logger
from django.conf import settings

from config.sessions import is_over

logger = get_logger(__name__)


def guard(app: Celery, *escapes: type[BaseException]) -> None:
    """Have these, where a task of this process lets them escape, give its message back."""
    for task in app.tasks.values():
        task.__trace__ = _guarded(task.__trace__, task, escapes)


def _guarded(
    trace: Callable[..., Any], task: Any, escapes: tuple[type[BaseException], ...]
) -> Callable[..., Any]:
    @wraps(trace)
    def guarded(task_id: str, *args: Any, **kwargs: Any) -> Any:
        try:
            traced = trace(task_id, *args, **kwargs)
        except (Reject, MemoryError, WorkerShutdown, WorkerTerminate):
            raise
        except escapes as error:
            return _given_back(task.name, task_id, error)
        outside = _raised_outside(traced)
        # One that was acknowledged before it ran cannot go back.
        if task.acks_late and outside and is_over(outside):
            return _given_back(task.name, task_id, outside)
        return traced

    return guarded


def _raised_outside(traced: trace_ok_t) -> BaseException | None:
    """Return what was raised outside of the task's body, as where its result is stored."""
    if not (isinstance(traced.retval, ExceptionInfo) and traced.retval.internal):
        return None
    error: Any = traced.retval.exception
    raised: BaseException = getattr(error, "exc", error)  # billiard may have wrapped it
    return raised


def _given_back(name: str, task_id: str, error: BaseException) -> trace_ok_t:
    logger.warning("%s[%s] goes back to the broker: %r", name, task_id, error)
    # At once, it would come back at once.
    time.sleep(settings.PARKING_PAUSE)
    reject = Reject(repr(error), requeue=True)
    info = ExceptionInfo((Reject, reject, error.__traceback__))
    return trace_ok_t(info, TraceInfo(states.REJECTED, reject), 0.0, None)
