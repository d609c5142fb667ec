"""Sends dead letters again, or gives them up: each once, whoever else tries."""

from contextlib import suppress
from typing import Any

from celery import current_app
from django.db import transaction
from django.utils import timezone
from kombu.utils import json

from workers import payload
from workers.dead_letters import BATCH
from workers.models import DeadLetter, Start

Reason, State = DeadLetter.Reason, DeadLetter.State

# The options that say when a task is due and when it is over.
TIMES = {"countdown", "eta", "expires"}


class NotDoneError(Exception):
    """What was asked for cannot be done with a letter; says why, and what to do instead."""


def send_again(letter: DeadLetter, anew: bool = True) -> None:
    """Send a letter's task again, under its own id. Of several who try at once, one does.

    anew: whether it is due now, and never over, whatever it was first sent with.

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
        if takes := getattr(task, "__header__", None):
            takes(*args, **kwargs)
    except TypeError as error:
        raise NotDoneError(
            f"Letter {letter.pk} has arguments that its task does not take ({error}): "
            "deploy code that takes them, or discard the letter."
        ) from error
    if anew:
        options = {name: value for name, value in options.items() if name not in TIMES}
    if letter.task_id:
        # What came out of the outbox has it beside its options.
        options["task_id"] = letter.task_id
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
        Start.objects.filter(task_id=letter.task_id).delete()
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
    """Send the letters again whose tasks no worker knew and this one does, unless they are over."""
    unknown = DeadLetter.objects.filter(state=State.WAITING, reason=Reason.UNKNOWN)
    known = unknown.filter(task__in=list(current_app.tasks)).order_by("pk")
    # What is parked again meanwhile, by a worker of old code, is for the next turn.
    last, newest = 0, known.values_list("pk", flat=True).last() or 0
    while letters := list(known.filter(pk__gt=last, pk__lte=newest)[:BATCH]):
        for letter in letters:
            with suppress(NotDoneError):  # somebody else was faster, or it waits for other code
                discard(letter) if is_over(letter) else send_again(letter, anew=False)
        last = letters[-1].pk


def is_over(letter: DeadLetter) -> bool:
    """Tell whether a task was to be done by now or not at all."""
    expires = json.loads(letter.body)["options"].get("expires")
    return bool(expires) and expires <= timezone.now()
