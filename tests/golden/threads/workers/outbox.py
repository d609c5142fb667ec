"""Keeps a task as a row until the broker has it, so that no accepted task depends on the broker."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from celery import current_app
from celery.utils import uuid
from celery.utils.log import get_logger
from django.conf import settings
from django.db import router, transaction
from django.utils import timezone
from kombu.utils import json

from workers import payload, publishing
from workers.models import OutboxMessage

logger = get_logger(__name__)

# Longer than publishing may take: until then a row is for whoever has claimed it. Seconds.
CLAIM = 30
# What belongs to the process that sends, and not to the message.
OF_THE_SENDER = {
    *("producer", "publisher", "connection", "router", "result_cls", "task_type", "declare"),
    *("retry", "retry_policy", "add_to_parent", "timeout", "confirm_timeout"),
    *("timestamp", "message_id", "mandatory"),
}


def database() -> str:
    """Return the alias of the database that has the rows."""
    return router.db_for_write(OutboxMessage)


def message(
    name: str, args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None, given: dict[str, Any]
) -> str:
    """Return the body of a row: options as they hold whenever it is sent.

    Raises payload.PayloadError.
    """
    given = {option: value for option, value in given.items() if option not in OF_THE_SENDER}
    if countdown := given.pop("countdown", None):
        given["eta"] = timezone.now() + timedelta(seconds=countdown)
    payload.check_wait(name, given.get("eta"))
    if isinstance(seconds := given.get("expires"), int | float):
        given["expires"] = timezone.now() + timedelta(seconds=seconds)
    if parent := current_app.current_worker_task:
        given.setdefault("root_id", parent.request.root_id or parent.request.id)
        given.setdefault("parent_id", parent.request.id)
    for option in ("queue", "exchange"):
        if option in given:
            given[option] = getattr(given[option], "name", given[option])
    return payload.dumps(name, args, kwargs, given)


def accept(name: str, body: str, task_id: str | None = None) -> Any:
    """Keep a task in the current transaction, and publish it on commit; return its AsyncResult.

    task_id: of a task that may be there already.
    """
    row = put(name, task_id or uuid(), body, replace=task_id is not None)
    transaction.on_commit(partial(publish, row), using=database(), robust=True)
    return current_app.AsyncResult(row.task_id)


def put(task: str, task_id: str, body: str, replace: bool = False) -> OutboxMessage:
    """Write a row, in the current transaction where there is one.

    replace: whether the task may have a row already, as one that is tried again may.
    """
    # Until then it is for whoever has written it.
    later = timezone.now() + timedelta(seconds=2 * settings.PUBLISH_TIMEOUT)
    key: dict[str, Any] = {"task_id": task_id, "task": task}
    fields: dict[str, Any] = {"body": body, "next_try_at": later}
    if replace:
        return OutboxMessage.objects.update_or_create(**key, defaults=fields)[0]
    return OutboxMessage.objects.create(**key, **fields)


def send(row: OutboxMessage, **how: Any) -> None:
    """Publish a row. Raises one of publishing.refusals()."""
    content = json.loads(row.body)
    options = content["options"]
    # Nobody here waits for the result, and sending must not need the server of the results.
    headers = {**options.get("headers", {}), "ignore_result": options.get("ignore_result", False)}
    options = {**options, "headers": headers, "ignore_result": True, "task_id": row.task_id}

    def publish(**bounds: Any) -> None:
        given = {**payload.countable(options), **bounds}
        current_app.send_task(row.task, content["args"], content["kwargs"], **given)

    publishing.bounded(publish, **how)


def forget(row: OutboxMessage) -> None:
    """Delete a row that was sent, unless the task has been put there again meanwhile."""
    OutboxMessage.objects.filter(pk=row.pk, next_try_at=row.next_try_at).delete()


def claim(row: OutboxMessage) -> bool:
    """Tell whether the row is ours to send now, and nobody else's.

    A conditional update, which every database has, and no lock that is held while a broker is silent.
    """
    until = timezone.now() + timedelta(seconds=CLAIM)
    unclaimed = OutboxMessage.objects.filter(pk=row.pk, next_try_at=row.next_try_at)
    if not unclaimed.update(next_try_at=until):
        return False
    row.next_try_at = until
    return True


def claimed() -> tuple[datetime, datetime]:
    """Return between which moments a row is tried next that somebody sends just now."""
    now = timezone.now()
    return now, now + timedelta(seconds=CLAIM)


def publish(row: OutboxMessage) -> None:
    """Publish a row that was committed; it stays where that fails, and a keeper sends it."""
    try:
        # The transaction may have taken so long that a keeper has it by now.
        if row.next_try_at <= timezone.now() and not claim(row):
            return
        send(row)
        forget(row)
    except Exception as error:  # whatever it is, what was committed has succeeded
        logger.warning("%s stays in the outbox, to be sent later: %s", row, error)
