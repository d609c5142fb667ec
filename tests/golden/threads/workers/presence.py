"""Has each worker on Redis say that it is alive, and see to what dead ones and Redis itself lost."""

# celery-types has these classes as they once were.
# mypy: disable-error-code="arg-type, attr-defined"

import time
from contextlib import suppress
from threading import Thread
from typing import Any

from celery import Celery, bootsteps
from celery.utils.log import get_logger
from django.conf import settings
from redis.exceptions import OutOfMemoryError

from workers.durability import Durability
from workers.forks import ForkLock
from workers.transport import ALIVE, CONSUMERS, Channel
from workers.unacknowledged import HELD, QoS

logger = get_logger(__name__)

_busy = ForkLock()


class Presence(bootsteps.StartStopStep):
    """Says so from a thread of its own: a task may hold up the loop of the worker."""

    requires = ("celery.worker.components:Pool",)

    def start(self, parent: Any) -> None:
        """Begin. It ends with the process, which has tasks while it stops."""
        Thread(target=watch, args=(parent.app,), name="presence", daemon=True).start()


def watch(app: Celery) -> None:
    """Say that this process is alive, and look for those that are not."""
    connection, durability, reached = None, Durability(), True
    # A Redis that was away has forgotten who is alive, and hears from others in their turn.
    judges_from = time.monotonic() + settings.WORKER_SILENCE / 3
    while True:
        with _busy:
            try:
                connection = connection or app.connection_for_read()
                for channel in list(Channel.consuming):
                    if not channel.closed:
                        channel.say_alive()
                for qos in list(QoS.owing):
                    with suppress(OutOfMemoryError):
                        qos.settle(connection.default_channel)
                if time.monotonic() > judges_from:
                    with suppress(OutOfMemoryError):
                        take_over(connection.default_channel)
                durability.look(connection.default_channel.client)
                reached = True
            except Exception as error:
                # Once for each time that it goes away: the worker itself says more.
                if reached:
                    logger.warning("Cannot tell Redis that this worker is alive: %s", error)
                reached = False
                judges_from = time.monotonic() + settings.WORKER_SILENCE / 2
                if connection:
                    connection.collect()
                connection = None
        time.sleep(settings.WORKER_SILENCE / 6)


def take_over(channel: Channel) -> None:
    """Put the messages of the dead back into their queues."""
    with channel.conn_or_acquire() as client:
        for consumer in map(bytes.decode, client.smembers(CONSUMERS)):
            if client.exists(ALIVE.format(consumer)):
                continue
            held = HELD.format(consumer)
            tags = map(bytes.decode, client.smembers(held))
            taken = sum(channel.qos.take_over(tag, held, client) for tag in tags)
            client.srem(CONSUMERS, consumer)
            if taken:
                logger.warning("Took over %d tasks of a worker that is silent", taken)
