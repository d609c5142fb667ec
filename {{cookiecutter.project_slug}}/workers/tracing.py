"""Gives back a task whose end nobody could write down.

Celery's pools of one process would keep its message and its slot until the worker is started anew.
"""

# A method of Celery's is replaced.
# mypy: disable-error-code="assignment, method-assign"

import time
from collections.abc import Callable, Sequence
from functools import wraps
from math import inf
from typing import Any

from billiard.einfo import ExceptionInfo
from celery import Celery, states
from celery.app.trace import TraceInfo, trace_ok_t
from celery.backends.base import Backend
from celery.exceptions import BackendStoreError, Reject, WorkerShutdown, WorkerTerminate
from celery.utils.log import get_logger
from django.conf import settings

from config.sessions import is_over

logger = get_logger(__name__)

mark_as_failure = Backend.mark_as_failure


def guard(app: Celery, *escapes: type[BaseException]) -> None:
    """Have these, where a task of this process lets them escape, give its message back."""
    Backend.mark_as_failure = _mark_as_failure
    for task in app.tasks.values():
        task.__trace__ = _guarded(task.__trace__, task, escapes)


def _mark_as_failure(backend: Any, task_id: str, exc: Exception, *args: Any, **kw: Any) -> Any:
    """Tell nobody that a task has failed which goes back: its state could not be stored."""
    if isinstance(exc, BackendStoreError):
        raise exc
    return mark_as_failure(backend, task_id, exc, *args, **kw)


def _guarded(
    trace: Callable[..., Any], task: Any, escapes: tuple[type[BaseException], ...]
) -> Callable[..., Any]:
    @wraps(trace)
    def guarded(task_id: str, args: Any, kwargs: Any, request: Any) -> Any:
        begun = time.monotonic()
        try:
            traced = trace(task_id, args, kwargs, request)
        except (Reject, MemoryError, WorkerShutdown, WorkerTerminate):
            raise
        except escapes as error:
            outside: Any = error
        else:
            outside = _raised_outside(traced)
            # One that was acknowledged before it ran cannot go back.
            if not (task.acks_late and outside and is_over(outside)):
                return traced
        logger.warning("%s[%s] goes back to the broker: %r", task.name, task_id, outside)
        pause(task, begun, request.get("timelimit"))
        reject = Reject(repr(outside), requeue=True)
        info = ExceptionInfo((Reject, reject, outside.__traceback__))
        return trace_ok_t(info, TraceInfo(states.REJECTED, reject), 0.0, None)

    return guarded


def _raised_outside(traced: trace_ok_t) -> Any:
    """Return what was raised outside of the task's body, as where its result is stored."""
    if not (isinstance(traced.retval, ExceptionInfo) and traced.retval.internal):
        return None
    error: Any = traced.retval.exception
    return getattr(error, "exc", error)  # billiard may have wrapped it


def pause(task: Any, begun: float, own: Sequence[float | None] | None) -> None:
    """Wait until a message may go back: at once, it would come back at once.

    Its task's time runs on meanwhile, and at the end of that it would be parked.

    begun, own: when it has, on the monotonic clock, and the limits that the message brings. Seconds.
    """
    limits = filter(None, (*(own or ()), task.time_limit, task.soft_time_limit))
    left = begun + min(limits, default=inf) - time.monotonic()
    time.sleep(max(0, min(settings.PARKING_PAUSE, left / 2)))
