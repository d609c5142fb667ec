"""Which messages a worker on Redis has in hand."""

# celery-types leaves out what a transport is made of.
# mypy: disable-error-code="attr-defined, misc"

from collections.abc import Callable
from contextlib import suppress
from operator import itemgetter
from typing import Any, ClassVar

from kombu.transport import redis, virtual
from kombu.utils.json import loads
from redis.exceptions import OutOfMemoryError, ResponseError

# The messages that somebody has.
HELD = "unacked:{}"
# What is no message at all. It would stop each worker that reads it.
MALFORMED = "unacked:malformed"


class QoS(redis.QoS):
    """Which messages a channel has not acknowledged."""

    #: Those of this process that owe Redis something.
    owing: ClassVar[set["QoS"]] = set()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # What Redis has not heard: whether each goes back into its queue.
        self.owed: dict[str, bool] = {}

    def append(self, message: Any, delivery_tag: str) -> None:
        """Remember a message. Of one that was claimed Redis knows already."""
        if delivery_tag == self.channel.claimed:
            virtual.QoS.append(self, message, delivery_tag)
        else:
            super().append(message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge a message; where Redis does not do so now, later."""
        self._tell(super().ack, delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Put a message back or drop it; where Redis does not do so now, later."""
        self._tell(super().reject, delivery_tag, requeue)

    def _tell(self, tell: Callable[..., None], delivery_tag: str, requeue: bool = False) -> None:
        heard = False
        try:
            with suppress(*self.channel.connection_errors, ResponseError):
                if not self._is_cut_off():
                    tell(delivery_tag, *([requeue] if requeue else []))
                    heard = True
        finally:  # also where a limit of time ends it
            if not heard:
                # kombu would count it as in hand for ever, and its slot as taken.
                virtual.QoS.ack(self, delivery_tag)
                self.owed[delivery_tag] = requeue
                self.owing.add(self)

    def _is_cut_off(self) -> bool:
        # Its connection was given up over an error, while tasks were running.
        return self.channel.connection is None or self.channel.connection.client is None

    def settle(self, channel: Any) -> None:
        """Tell Redis what it has not heard, by way of another channel.

        Raises what Redis raises where it still does not do so.
        """
        # First: others may owe something meanwhile.
        self.owing.discard(self)
        try:
            with channel.conn_or_acquire() as client:
                # A Redis that is full takes none back, and acknowledgements make room.
                for delivery_tag, requeue in sorted(self.owed.items(), key=itemgetter(1)):
                    if requeue:
                        held = HELD.format(self.channel.consumer)
                        channel.qos.take_over(delivery_tag, held, client)
                    else:
                        self._remove_from_indices(delivery_tag, client.pipeline()).execute()
                    del self.owed[delivery_tag]
        except BaseException:
            self.owing.add(self)
            raise

    def restore_unacked(self, client: Any = None) -> None:
        """Put everything back; what was cut off from Redis, others take over."""
        if not self._is_cut_off():
            super().restore_unacked(client)
        elif self._delivered:
            self._delivered.clear()

    def restore_visible(self, *args: Any, **kwargs: Any) -> None:
        """Put back what is overdue, once Redis has room for the lock that this takes."""
        with suppress(OutOfMemoryError):
            super().restore_visible(*args, **kwargs)

    def take_over(self, delivery_tag: str, held: str, client: Any) -> bool:
        """Put a message back that somebody else had; tell whether nobody was faster.

        In one step: who takes over may die of what it has just put back. And once it is back, a third
        one may have it, under the same tag.
        """

        def put_back(pipe: Any) -> bool:
            found = pipe.sismember(held, delivery_tag)
            message = pipe.hget(self.unacked_key, delivery_tag)
            pipe.multi()
            if found:
                self._remove_from_indices(delivery_tag, pipe).srem(held, delivery_tag)
            if found and message:
                crossed_off = len(pipe)
                with suppress(TypeError, ValueError):
                    self.channel._do_restore_message(*loads(message.decode()), pipe)
                if len(pipe) == crossed_off:
                    pipe.lpush(MALFORMED, message)
            return bool(found and message)

        return bool(client.transaction(put_back, held, value_from_callable=True))

    def _remove_from_indices(self, delivery_tag: str, pipe: Any = None) -> Any:
        held = HELD.format(self.channel.consumer)
        return super()._remove_from_indices(delivery_tag, pipe).srem(held, delivery_tag)
