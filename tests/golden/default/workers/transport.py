"""Redis as a broker that loses no message while it hands one out, and misses a dead worker soon.

kombu takes a message off its queue in one step and writes down in a second one that somebody has
it: a worker that dies in between takes the message with it. Here one script does both. Since a
script cannot wait, an idle worker waits for a bell, which rings for each message that is sent.
"""

# celery-types leaves out what a transport is made of.
# mypy: disable-error-code="attr-defined, misc"

from pathlib import Path
from queue import Empty
from time import monotonic, time
from typing import Any
from uuid import uuid4
from weakref import WeakSet

from django.conf import settings
from kombu.connection import resolve_aliases
from kombu.transport import redis
from kombu.utils.json import dumps, loads
from redis.exceptions import OutOfMemoryError

from workers.client import OneClient
from workers.unacknowledged import HELD, MALFORMED, QoS

# Everyone who takes messages; whether one is alive.
CONSUMERS = "unacked:consumers"
ALIVE = "unacked:{}:alive"
BELL = "{}.bell"
# Enough to wake every idle worker; all others ask without being woken.
BELLS = 100

resolve_aliases["workers.transport:Transport"] = "redis"  # as logs and monitors name it

SEND = """redis.call('LPUSH', KEYS[1], ARGV[1])
redis.call('LPUSH', KEYS[2], 1) redis.call('LTRIM', KEYS[2], 0, ARGV[2] - 1)"""
CLAIM = Path(__file__).with_name("claim.lua").read_text()


class Channel(OneClient):
    """Claims messages, and rings for those that it sends."""

    QoS = QoS
    #: Those of this process that take messages.
    consuming: WeakSet["Channel"] = WeakSet()
    #: The tag of the message that was claimed last.
    claimed = ""
    #: Whether to ask for a message next, rather than wait for the bell.
    ask = True
    #: Whether the bell has rung for what is asked next.
    woken = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.global_keyprefix:
            raise ValueError("claim.lua knows no global_keyprefix: use a database of its own")
        self.consumer = uuid4().hex
        #: Queues whose messages nobody acknowledges, such as answers to `inspect`.
        self.unacknowledged: set[str] = set()

    def basic_consume(self, queue: str, no_ack: bool, *args: Any, **kwargs: Any) -> Any:
        """Take messages of a queue from now on."""
        if no_ack:
            self.unacknowledged.add(queue)
        else:
            self.consuming.add(self)
            self.say_alive()
        return super().basic_consume(queue, no_ack, *args, **kwargs)

    def say_alive(self) -> None:
        """Keep for a while what this one has from being handed to others."""
        alive = ALIVE.format(self.consumer)
        with self.conn_or_acquire() as client:
            client.insist("SET", alive, 1, "EX", settings.WORKER_SILENCE)
            client.insist("SADD", CONSUMERS, self.consumer)

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        try:
            super()._queue_bind(exchange, routing_key, pattern, queue)
        except OutOfMemoryError:
            binding = self.sep.join([routing_key or "", pattern or "", queue or ""])
            with self.conn_or_acquire() as client:
                client.insist("SADD", self.keyprefix_queue % (exchange,), binding)

    def _put(self, queue: str, message: Any, **kwargs: Any) -> Any:
        if kwargs.get("_publish_batch") or queue in self._expires:
            return super()._put(queue, message, **kwargs)
        key = self._q_for_pri(queue, self._get_message_priority(message, reverse=False))
        with self.conn_or_acquire() as client:
            client.eval(SEND, 2, key, BELL.format(queue), dumps(message), BELLS)

    def _brpop_start(self, timeout: float | None = None) -> None:
        queues = self._queue_cycle.consume(len(self.active_queues))
        if not queues:
            return
        if self.ask:
            self._asked = [queue for _ in self.priority_steps for queue in queues]
            keys = [self.unacked_key, self.unacked_index_key, HELD.format(self.consumer), MALFORMED]
            for priority in self.priority_steps:
                for queue in queues:
                    keys += [self._q_for_pri(queue, priority), BELL.format(queue)]
            command = ["EVAL", CLAIM, len(keys), *keys, time(), int(self.woken)]
        else:
            command = ["BRPOP", *map(BELL.format, queues), timeout or self.brpop_timeout]
        self._in_poll = self.client.connection
        self._brpop_sent_at = monotonic()
        self.client.connection.send_command(*command)

    def _brpop_read(self, **options: Any) -> bool:
        asked, self.ask = self.ask, True
        connection = self.client.connection
        try:
            answer = self.client.parse_response(connection, "EVAL" if asked else "BRPOP", **options)
            self.woken = bool(answer) and not asked
            if not (asked and answer):
                self.ask = not asked
                raise Empty
            number, tag, content = answer
            self.claimed, queue = tag.decode(), self._asked[number]
            try:
                message = loads(content.decode(errors="replace"))
                self.Message(message, channel=self)  # raises, where a worker would end of it
            except (AttributeError, KeyError, TypeError, ValueError) as error:  # Lua reads more
                with self.conn_or_acquire() as client:
                    client.insist("LPUSH", MALFORMED, content)
                self.qos._remove_from_indices(self.claimed).execute()
                raise Empty from error
            self._queue_cycle.rotate(queue)
            if queue in self.unacknowledged:
                self.qos._remove_from_indices(self.claimed).execute()
            self.connection._deliver(message, queue)
            return True
        except self.connection_errors:
            # Has the next round connect again.
            connection.disconnect()
            raise
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()


class Transport(redis.Transport):
    """The transport with such channels."""

    Channel = Channel
