"""Turns what a task is sent with into JSON, and refuses what cannot travel."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils import timezone
from kombu.exceptions import EncodeError
from kombu.utils.json import JSONEncoder

# Made once: kombu makes one for each message.
_encode = JSONEncoder().encode

FAILURES = (TypeError, ValueError, RecursionError)


class PayloadError(EncodeError):
    """What a task was to be sent with cannot travel."""


def dumps(
    task: str,
    args: Sequence[Any] | None,
    kwargs: Mapping[str, Any] | None,
    options: Mapping[str, Any],
) -> str:
    """Return the arguments and options of a task as JSON.

    Raises PayloadError where one of them is no JSON, or where all are larger than MESSAGE_LIMIT.
    """
    try:
        text = _encode({"args": args or (), "kwargs": kwargs or {}, "options": options})
    except FAILURES as error:
        raise _not_json(task, args or (), kwargs or {}, options) from error
    if len(text) > settings.MESSAGE_LIMIT:  # characters of ASCII, and so bytes
        raise PayloadError(
            f"{task} would be sent with {len(text)} bytes, and MESSAGE_LIMIT in "
            f"config/settings/tasks.py allows {settings.MESSAGE_LIMIT}: store the data, and send "
            "its id."
        )
    return text


def check_wait(task: str, eta: Any) -> None:
    """Refuse a task that would wait for so long that Redis hands it out a second time meanwhile.

    Raises PayloadError.
    """
    if "visibility_timeout" not in settings.CELERY_BROKER_TRANSPORT_OPTIONS:
        return
    wait = (eta - timezone.now()).total_seconds() if isinstance(eta, datetime) else 0
    if wait > settings.LONGEST_COUNTDOWN:
        raise PayloadError(
            f"{task} would wait for {wait:.0f} s, and LONGEST_COUNTDOWN in config/settings/tasks.py "
            f"allows {settings.LONGEST_COUNTDOWN}: raise it, or have a periodic task find what is due."
        )


def countable(options: dict[str, Any]) -> dict[str, Any]:
    """Return options whose wait the broker can count: RabbitMQ's are whole seconds, from one on."""
    if "visibility_timeout" in settings.CELERY_BROKER_TRANSPORT_OPTIONS:
        return options
    eta, left = options.get("eta"), options.get("countdown") or 0
    if isinstance(eta, datetime) and timezone.is_aware(eta):
        left = (eta - timezone.now()).total_seconds()
    return {**options, "eta": None, "countdown": max(1, left)} if 0 < left < 2 else options


def _not_json(
    task: str, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]
) -> PayloadError:
    named = [
        *((f"argument {number}", value) for number, value in enumerate(args, start=1)),
        *((f"argument {name!r}", value) for name, value in kwargs.items()),
        *((f"option {name!r}", value) for name, value in options.items()),
    ]
    for name, value in named:
        try:
            _encode(value)
        except FAILURES as error:
            kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
            return PayloadError(
                f"{task}: {name} is of the type {kind}, which is no JSON ({error}): send text, "
                "numbers, lists or dicts, and for a row its id."
            )
    return PayloadError(f"{task}: its arguments have names that are no text.")
