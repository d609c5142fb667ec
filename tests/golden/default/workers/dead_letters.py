"""Keeps what could not succeed as rows, from which a person, or a worker, sends it again."""

from contextlib import suppress
from typing import Any

from celery import current_app
from celery.app.task import Context
from celery.utils.log import get_logger
from django.db import transaction
from django.utils import timezone
from kombu.utils import json

from workers import payload
from workers.models import DeadLetter

logger = get_logger(__name__)

Reason, State = DeadLetter.Reason, DeadLetter.State

# Of what is no task, and of what happened, so much is kept: a row must not be what breaks next.
LONGEST_TEXT = 256 * 1024  # characters
LONGEST_HISTORY = 20_000  # characters
# How many letters one turn of a chore sends.
BATCH = 100


class NotDoneError(Exception):
    """What was asked for cannot be done with a letter; says why, and what to do instead."""


def park(reason: str, history: str, **fields: object) -> None:
    """Keep a letter; a second one about the same task replaces the first while that one waits.

    fields: task_id, task, queue and body, as the model has them.
    """
    # The body of a task stays whole, or it could not be sent again.
    limits = {"body": LONGEST_TEXT if reason == Reason.MALFORMED else None}
    limits["history"] = LONGEST_HISTORY
    row = {"reason": reason, "history": history[-LONGEST_HISTORY:], **fields}
    row = {name: text(value)[: limits.get(name, 255)] for name, value in row.items()}
    task_id = row.get("task_id")
    waiting = DeadLetter.objects.filter(task_id=task_id, state=State.WAITING)
    # The first one's message was not acknowledged, as where its worker was killed, and came back.
    if not (task_id and waiting.update(**row)):
        DeadLetter.objects.create(**row)
    logger.error("Parked %s[%s] as a dead letter: %s", row.get("task", ""), task_id, reason)


def park_request(reason: str, task: str, request: Context, history: str) -> None:
    """Keep a task with all that it takes to send it again as it was: its chain, its group and so on."""
    queue = queue_of(request.delivery_info or {})
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
    }
    options = {name: value for name, value in given.items() if value not in (None, {}, [])}
    body = json.dumps({"args": request.args, "kwargs": request.kwargs, "options": options})
    park(reason, history, task_id=request.id, task=task, queue=queue, body=body)


def send_again(letter: DeadLetter) -> None:
    """Send a letter's task again, under its own id. Of several who try at once, one does.

    Raises NotDoneError.
    """
    if letter.reason == Reason.MALFORMED:
        raise NotDoneError(
            f"Letter {letter.pk} cannot be read, so there is no task to send: see its body, "
            "correct whoever sent it, and discard it."
        )
    current_app.autodiscover_tasks(force=True)
    task: Any = current_app.tasks.get(letter.task)
    if task is None:
        raise NotDoneError(
            f"Letter {letter.pk} is for the task {letter.task!r}, which does not exist: "
            "deploy the code that has it, or discard the letter."
        )
    message = json.loads(letter.body)
    args, kwargs, options = message["args"], message["kwargs"], message["options"]
    try:
        task.__header__(*args, **kwargs)
    except TypeError as error:
        raise NotDoneError(
            f"Letter {letter.pk} has arguments that its task does not take ({error}): "
            "deploy code that takes them, or discard the letter."
        ) from error
    if options.get("queue") not in current_app.amqp.queues:
        options.pop("queue", None)  # it is gone: where the routes send the task now
    try:
        with transaction.atomic():
            _settle(letter, State.SENT)
            task.apply_async_on_commit(args, kwargs, **options)
    except payload.PayloadError as error:
        raise NotDoneError(f"Letter {letter.pk} cannot be sent. {error}") from error


def discard(letter: DeadLetter) -> None:
    """Give a letter up. Raises NotDoneError."""
    _settle(letter, State.DISCARDED)


def _settle(letter: DeadLetter, state: str) -> None:
    waiting = DeadLetter.objects.filter(pk=letter.pk, state=State.WAITING)
    if waiting.update(state=state, settled_at=timezone.now()):
        return
    found = DeadLetter.objects.filter(pk=letter.pk).first()
    became = (
        f"{found.get_state_display().lower()} at {found.settled_at:%F %T}" if found else "removed"
    )
    raise NotDoneError(
        f"Letter {letter.pk} was {became}, and each is settled once: "
        "where the task is still wanted, send it anew."
    )


def send_known() -> None:
    """Send the letters again whose tasks no worker knew and this one does."""
    unknown = DeadLetter.objects.filter(state=State.WAITING, reason=Reason.UNKNOWN)
    for letter in unknown.filter(task__in=list(current_app.tasks)).order_by("parked_at")[:BATCH]:
        with suppress(NotDoneError):  # somebody else was faster
            send_again(letter)


def queue_of(delivery: Any) -> str:
    """Return the queue that a message came from. RabbitMQ puts delays before its name."""
    return str(delivery.get("routing_key") or "").rpartition(".")[2]


def text(value: object) -> str:
    """Return what any database can store of a value, whatever somebody has sent."""
    if isinstance(value, bytes | bytearray | memoryview):
        value = bytes(value).decode(errors="backslashreplace")
    shown = "" if value is None else str(value)
    return shown.encode(errors="backslashreplace").decode().replace("\0", "\\x00")
