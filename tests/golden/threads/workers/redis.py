"""What workers do on Redis beyond Celery's own. They alone import it (CELERY_IMPORTS)."""

from collections.abc import Callable
from threading import Event
from typing import Any

from celery import bootsteps, current_app


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


current_app.steps["consumer"].add(AskAtOnce)
