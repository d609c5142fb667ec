"""What workers do on Redis beyond Celery's own. They alone import it (CELERY_IMPORTS)."""

from collections.abc import Callable
from threading import Event
from typing import Any

from celery import bootsteps, current_app

from workers import dead_letters, keeper
from workers.models import DeadLetter
from workers.presence import Presence
from workers.unacknowledged import MALFORMED


class AskAtOnce(bootsteps.StartStopStep):
    """Asks for the next task as soon as a slot is free.

    While every slot is taken there is nothing to wait for at Redis. Under greenlets Celery then
    sleeps for two seconds, whatever ends meanwhile.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def include_if(self, parent: Any) -> bool:
        """Tell whether the pool is one of greenlets; others wake Celery's event loop."""
        return parent.hub is None

    def start(self, parent: Any) -> None:
        """Have each acknowledgement end the wait. Each connection to the broker begins here."""
        channel, drain = parent.task_consumer.channel, parent.connection.drain_events
        freed = Event()

        def then_wake(settle: Callable[..., None]) -> Callable[..., None]:
            def settle_and_wake(*args: Any, **kwargs: Any) -> None:
                settle(*args, **kwargs)
                freed.set()

            return settle_and_wake

        def drain_events(timeout: float) -> Any:
            freed.clear()
            if not channel.qos.can_consume() and not freed.wait(timeout):
                timeout = 0  # has been waited; the rest is what kombu does by the way
            return drain(timeout=timeout)

        channel.basic_ack = then_wake(channel.basic_ack)
        channel.basic_reject = then_wake(channel.basic_reject)
        parent.connection.drain_events = drain_events


def keep_malformed() -> None:
    """Park what is no message at all, and was put aside when it should have been handed out."""
    with current_app.connection_for_read() as connection:
        client: Any = connection.default_channel.client  # type: ignore[attr-defined]
        while (text := client.lindex(MALFORMED, -1)) is not None:
            history = "It is not the JSON that a message is on Redis."
            dead_letters.park(DeadLetter.Reason.MALFORMED, history, body=text)
            # Not the last one, whatever it is: another worker may be at it.
            client.lrem(MALFORMED, -1, text)


keeper.CHORES.append((30, "workers.redis.keep_malformed"))
current_app.steps["consumer"].add(AskAtOnce)
current_app.steps["worker"].add(Presence)
