"""Keeps what could not succeed as rows, from which it can be sent again (workers/replay.py)."""

from hashlib import sha256
from typing import Any

from celery.app.task import Context
from celery.utils.log import get_logger
from celery.utils.time import maybe_iso8601, maybe_make_aware
from django.db.models import QuerySet
from kombu.utils import json

from workers.models import DeadLetter, Effect

logger = get_logger(__name__)

Reason, State = DeadLetter.Reason, DeadLetter.State

# Of what is no task, and of what happened, so much is kept: a row must not be what breaks next.
LONGEST_TEXT = 256 * 1024  # characters
LONGEST_HISTORY = 20_000  # characters
# How many letters one turn of a chore deals with.
BATCH = 100
# What the keys of messages begin with that have succeeded.
DONE = "workers.dead_letters:"


def park(reason: str, history: str, **fields: object) -> None:
    """Keep a letter; a second one about the same task replaces the first while that one waits.

    fields: task_id, task, queue and body, as the model has them.
    """
    # The body of a task stays whole, or it could not be sent again.
    limits = {"body": LONGEST_TEXT if reason == Reason.MALFORMED else None, "history": None}
    row = {"reason": reason, "history": text(history)[-LONGEST_HISTORY:], **fields}
    row = {name: text(value)[: limits.get(name, 255)] for name, value in row.items()}
    task_id = row.get("task_id")
    # The first one's message was not acknowledged, as where its worker was killed, and came back.
    if not (task_id and _waiting(row.get("task", ""), task_id).update(**row)):
        DeadLetter.objects.create(**row)
    logger.error("Parked %s[%s] as a dead letter: %s", row.get("task", ""), task_id, reason)


def park_request(reason: str, task: str, request: Context, history: str) -> bool:
    """Keep a task with all that it takes to send it again as it was: its chain, its group and so on.

    Returns False, and keeps nothing, where it was taken over from us and has succeeded elsewhere.
    """
    if is_done(request):
        return False
    queue = queue_of(request.delivery_info or {})
    # One that no worker knows has not begun: it is due, and over, when it was.
    times = {
        name: maybe_make_aware(moment)
        for name in ("eta", "expires")
        if reason == Reason.UNKNOWN and (moment := maybe_iso8601(getattr(request, name)))
    }
    given = {
        **request.as_execution_options(),
        "ignore_result": vars(request).get("ignore_result"),
        "priority": (request.delivery_info or {}).get("priority"),
        "queue": queue,
        # The broker's own count of deliveries and the like are not the task's.
        "headers": {
            name: value
            for name, value in (request.headers or {}).items()
            if not name.startswith("x-")
        },
        # It gets all of its tries again, and is as welcome as when it was new.
        "retries": None,
        "expires": None,
        **times,
    }
    options = {name: value for name, value in given.items() if value not in (None, {}, [])}
    body = json.dumps({"args": request.args, "kwargs": request.kwargs, "options": options})
    park(reason, history, task_id=request.id, task=task, queue=queue, body=body)
    # Asked again: whoever succeeds just now notes it first, and then looks for a letter.
    if not is_done(request):
        return True
    _waiting(task, request.id).delete()
    return False


def note_done(task: str, request: Context) -> None:
    """Note that a message has succeeded that somebody else may still be at, and fail with."""
    if key := _done(request):
        Effect.objects.bulk_create([Effect(key=key)], ignore_conflicts=True)
    _waiting(task, request.id).delete()


def is_done(request: Context) -> bool:
    """Tell whether somebody else has succeeded with the same message, and not with its like."""
    key = _done(request)
    return bool(key) and Effect.objects.filter(key=key).exists()


def _done(request: Context) -> str:
    # A task's id may be used again. Messages of other programs may have none of their own.
    message = (request.properties or {}).get("message_id")
    return DONE + sha256(f"{message}:{request.id}".encode()).hexdigest() if message else ""


def _waiting(task: object, task_id: object) -> QuerySet[DeadLetter]:
    """Return the letter of a task, unless it is settled. Tasks of other kinds may have the same id."""
    return DeadLetter.objects.filter(task=task, task_id=task_id, state=State.WAITING)


def queue_of(delivery: Any) -> str:
    """Return the queue that a message came from. RabbitMQ puts delays before its name."""
    return str(delivery.get("routing_key") or "").rpartition(".")[2]


def text(value: object) -> str:
    """Return what any database can store of a value, whatever somebody has sent."""
    if isinstance(value, bytes | bytearray | memoryview):
        value = bytes(value).decode(errors="backslashreplace")
    shown = "" if value is None else str(value)
    return shown.encode(errors="backslashreplace").decode().replace("\0", "\\x00")
