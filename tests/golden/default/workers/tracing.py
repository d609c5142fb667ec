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

mark_as_failure, mark_as_retry = Backend.mark_as_failure, Backend.mark_as_retry


def guard(app: Celery, *escapes: type[BaseException]) -> None:
    """Have these, where a task of this process lets them escape, give its message back."""
    Backend.mark_as_failure, Backend.mark_as_retry = _mark_as_failure, _mark_as_retry
    for task in app.tasks.values():
        task.__trace__ = _guarded(task.__trace__, task, escapes)


def _mark_as_failure(backend: Any, task_id: str, exc: Exception, *args: Any, **kw: Any) -> Any:
    """Tell nobody that a task has failed which goes back: its state could not be stored."""
    if _goes_back(backend, exc, kw.get("request")):
        raise exc
    return mark_as_failure(backend, task_id, exc, *args, **kw)


def _goes_back(backend: Any, error: Exception, request: Any) -> bool:
    if not request or request.is_eager:
        return isinstance(error, BackendStoreError)
    task = backend.app.tasks.get(request.task)
    if error is vars(request).get("parked") or not getattr(task, "acks_late", True):
        return False
    # Redis raises its own where a member of a chord is counted. The last two may come from anywhere.
    away = {BackendStoreError, *getattr(backend, "connection_errors", ())} - {OSError, KeyError}
    return isinstance(error, tuple(away)) or is_over(error)


def _mark_as_retry(backend: Any, task_id: str, *args: Any, **kw: Any) -> Any:
    """Go on where a retry cannot be told: it is sent, and its first message must not go back as well."""
    try:
        return mark_as_retry(backend, task_id, *args, **kw)
    except Exception as error:
        logger.warning("Nobody is told that %s is tried again: %r", task_id, error)


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
            # One that was acknowledged before it ran cannot go back: workers/request.py parks it.
            if not task.acks_late:
                return _ended(states.FAILURE, RuntimeError(repr(outside)), outside, internal=True)
        else:
            outside = _raised_outside(traced)
            if not (task.acks_late and outside and is_over(outside)):
                return traced
        logger.warning("%s[%s] goes back to the broker: %r", task.name, task_id, outside)
        pause(task, begun, request.get("timelimit"))
        return _ended(states.REJECTED, Reject(repr(outside), requeue=True), outside)

    return guarded


def _ended(state: str, how: Exception, why: Any, internal: bool = False) -> trace_ok_t:
    info = ExceptionInfo((type(how), how, why.__traceback__), internal=internal)
    return trace_ok_t(info, TraceInfo(state, how), 0.0, None)


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
