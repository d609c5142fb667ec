"""What waits for a worker: how many messages, and for how long the oldest of them."""

import json
import time
from collections.abc import Iterable, Iterator
from typing import Any

from celery import current_app
from django.conf import settings
from kombu.exceptions import ChannelError, OperationalError

from workers.worker import Worker


def read(workers: Iterable[Worker]) -> dict[str, tuple[int, float | None]]:
    """Return by a worker's name how many messages wait, and the age of the oldest in seconds.

    The age is None where nothing waits or nobody knows. What a worker has reserved, or holds for its
    countdown, is in no queue any more. Raises kombu.exceptions.OperationalError.
    """
    timeout = settings.PUBLISH_TIMEOUT
    bounds = {"read_timeout": timeout, "write_timeout": timeout}  # RabbitMQ's; Redis has its own
    connection = current_app.connection_for_read(connect_timeout=timeout, transport_options=bounds)
    # The last one: somebody else's message that is no JSON.
    refusals: Any = (*connection.connection_errors, *connection.channel_errors, ValueError)
    try:
        with connection:
            return {worker.name: _read(connection, worker.consumes) for worker in workers}
    except refusals as error:
        raise OperationalError(str(error).strip() or type(error).__name__) from error


def _read(connection: Any, queues: Iterable[str]) -> tuple[int, float | None]:
    depth, ages = 0, list[float]()
    for queue in queues:
        try:
            # One for each queue: RabbitMQ closes it where there is no such queue.
            with connection.channel() as channel:
                depth += channel.queue_declare(queue, passive=True).message_count
                ages += _ages(channel, queue)
        except ChannelError as error:
            if str(error.reply_code) != "404":  # it does not exist yet
                raise
    return depth, max(ages, default=None)


def _ages(channel: Any, queue: str) -> Iterator[float]:
    """Yield the age of the next message of each priority, where it can be read.

    On RabbitMQ it cannot: what is fetched and put back counts as delivered once more, and a quorum
    queue drops what was delivered too often (x-delivery-limit).
    """
    for priority in getattr(channel, "priority_steps", ()):
        found = channel.client.lindex(channel._q_for_pri(queue, priority), -1)
        message = json.loads(found) if found else {}
        sent = message.get("properties", {}).get("timestamp")  # workers/publishing.py
        # A worker that stops puts back what it held for its countdown: that did not wait here.
        if isinstance(sent, int) and not message.get("headers", {}).get("eta"):
            yield max(0.0, time.time() - sent)
