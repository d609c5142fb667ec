"""Publishes in bounded time, also to a broker that is silent, and leaves one alone that is away."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from amqp.exceptions import MessageNacked
from celery import current_app
from celery.utils import uuid
from django.conf import settings
from kombu.exceptions import OperationalError

# Connects once, if at all. With one retry kombu has a silent broker hold a request for 15 s.
ONCE = {"max_retries": 0, "interval_start": 0, "interval_step": 0, "interval_max": 0}
QUICKLY = 1  # seconds
# How long a process that has just missed its broker does not try again. Seconds.
PAUSE = 5
# Of AMQP: no queue takes it; no such exchange, as that of delayed tasks before the first worker.
UNROUTABLE = {312, 404}
# How long RabbitMQ takes to tell a queue's consumers that it is gone, at the most. Seconds.
HEARD = 0.5

_away_until = 0.0


class AwayError(OperationalError):
    """The broker was missed a moment ago, and is not asked again yet."""


class RefusedError(OperationalError):
    """RabbitMQ is there, and will not have this message."""


def refusals() -> tuple[type[BaseException], ...]:
    """Return what publishing raises where the broker does not take a message."""
    transport = current_app.connection_for_write()
    errors = {*transport.connection_errors, *transport.channel_errors}
    # kombu has it among Redis's, and a queue that is not declared is one as well.
    return (OperationalError, MessageNacked, *(errors - {KeyError}))


def bounded(send: Callable[..., Any], producer: Any = None, **options: Any) -> Any:
    """Have `send` publish, and return what it does.

    producer: the one to publish with, where it is not one of the process's own.

    Raises one of refusals() where the broker does not confirm; it may have the message all the same.
    """
    # Properties of AMQP's own, because a retry repeats headers. RabbitMQ would confirm, and drop, what
    # no queue takes.
    ours = {"timestamp": int(time.time()), "message_id": uuid(), "mandatory": True}
    wait = {"confirm_timeout": settings.PUBLISH_TIMEOUT, "retry": True, "retry_policy": ONCE}
    how = {**ours, **wait, **options}
    with current_app.producer_or_acquire(producer) as producer:
        if time.monotonic() < _away_until:
            raise AwayError("the broker was missed a moment ago")
        begun = time.monotonic()
        try:
            try:
                return _attempt(send, producer, how)
            except refusals() as refusal:
                # That the broker has closed a connection since is noticed at once, and then another
                # one may do. Silence has taken its time already.
                if time.monotonic() - begun > QUICKLY:
                    raise
                if isinstance(refusal, RefusedError):
                    # Its queue was perhaps deleted just now. Declared again at once, it would keep from
                    # its workers that it was gone, and they would wait at it for ever.
                    time.sleep(HEARD)
                return _attempt(send, producer, how)
        except RefusedError:
            raise  # others may be taken
        except refusals():
            leave_alone()
            raise


def leave_alone() -> None:
    """Do not try the broker again for a moment: whoever waits for a connection would wait as long."""
    global _away_until
    _away_until = time.monotonic() + PAUSE


def _attempt(send: Callable[..., Any], producer: Any, how: dict[str, Any]) -> Any:
    try:
        with given_up(producer):
            return send(producer=producer, **how)
    except refusals() as refusal:
        # kombu wraps it, and it says nothing.
        if any(isinstance(each, MessageNacked) for each in (refusal, refusal.__cause__)):
            raise RefusedError("its queue is full, or has just been deleted") from refusal
        if getattr(refusal, "reply_code", None) in UNROUTABLE:
            raise RefusedError(str(refusal)) from refusal
        raise


@contextmanager
def given_up(producer: Any) -> Iterator[None]:
    """Give the connection up that a publish has failed on, or was ended on.

    What it confirms later would be taken for the next message's. Closed in order, one to a silent
    broker would wait for its answer without end.
    """
    try:
        yield
    except BaseException:
        producer.connection.collect()
        producer.revive(producer.connection)
        raise
