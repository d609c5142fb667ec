"""Refuses and parks messages of which a worker can make no task."""

from typing import Any

from celery.app.task import Context
from celery.exceptions import InvalidTaskError

from workers import dead_letters
from workers.models import DeadLetter


def check(request: Any) -> None:
    """Raise InvalidTaskError where running it would fail: nobody would acknowledge it there."""
    _, _, embed = request._payload
    given = isinstance(request.args, list | tuple) and isinstance(request.kwargs, dict)
    if not (given and isinstance(embed or {}, dict)):
        raise InvalidTaskError("its body holds no arguments")
    limits = request.time_limits
    if not (isinstance(limits, list | tuple) and len(limits) == 2):
        raise InvalidTaskError(f"its time limits are {limits!r}, and no pair")


def park(message: Any, reason: str, history: str) -> None:
    """Keep a message, as a task where it can be read as one, else as it came."""
    task, request = read(message)
    if request and reason != DeadLetter.Reason.MALFORMED:
        try:
            dead_letters.park_request(reason, task, request, history)
            return
        except (AttributeError, TypeError, ValueError) as error:  # of headers that are none of ours
            history = f"{history}\n{type(error).__name__}: {error}"
    headers = message.headers if isinstance(message.headers, dict) else {}
    dead_letters.park(
        DeadLetter.Reason.MALFORMED,
        history,
        task_id=headers.get("id") or "",
        task=headers.get("task") or "",
        queue=dead_letters.queue_of(message.delivery_info or {}),
        body=f"{message.content_type} {headers}\n\n{dead_letters.text(message.body)}",
    )


def read(message: Any) -> tuple[str, Context | None]:
    """Return the task of a message, and its request where the message has the form of one."""
    try:
        args, kwargs, embed = message.payload
        headers = message.headers
        request = Context(
            {**headers, **(embed or {})},
            args=list(args),
            kwargs=dict(kwargs),
            delivery_info={
                **(message.delivery_info or {}),
                "priority": message.properties.get("priority"),
            },
        )
        return str(headers["task"]), request
    except Exception:  # whatever a body may raise that anybody could have written
        return "", None
