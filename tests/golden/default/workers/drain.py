"""How a worker stops: in bounded time, and without waiting for itself."""

# celery-types has this pool without what it is made of.
# mypy: disable-error-code="attr-defined"

import _thread
import os
import signal
import threading
from contextlib import suppress
from typing import Any

from billiard.pool import RUN
from celery.concurrency.asynpool import AsynPool
from celery.concurrency.prefork import _run_ready_callbacks
from celery.utils.log import get_logger
from kombu.asynchronous import get_event_loop

from config.limits import DRAIN

logger = get_logger(__name__)

# From one look at what the broker is to hear to the next. Seconds.
TURN = 0.5


class PreforkPool(AsynPool):
    """Prefork's pool, whose stop waits for every task that a child has, the one just given to it included.

    Celery gives up what no child has confirmed. The child runs it all the same and waits half a minute
    for somebody to hear of it, and the broker hands it out again.
    """

    def flush(self) -> None:
        """Give up what no child has; where the connection is lost, what none has confirmed."""
        unconfirmed = [job for job in self._cache.values() if job._write_to and not job._accepted]
        given = [] if self._state == RUN else unconfirmed
        for job in given:
            job._accepted = True
            if (writer := job._writer()) in self._active_writers:
                # Else the child would wait for the rest of the message.
                self._flush_writer(job._write_to, writer)
        try:
            super().flush()
        finally:
            for job in given:
                job._accepted = False


def stop_threads(pool: Any) -> None:
    """Wait for the threads of a worker that stops, and go on with heartbeats and acknowledgements.

    Celery does so for prefork alone: RabbitMQ would take the worker for dead, and have its tasks run again.
    """
    stop = threading.Thread(target=pool.executor.shutdown, kwargs={"cancel_futures": True})
    stop.start()
    while stop.is_alive():
        if hub := get_event_loop():
            try:
                hub.fire_timers()
                _run_ready_callbacks(hub)
            except Exception as error:
                logger.warning("The broker may hear nothing while this worker stops: %s", error)
        stop.join(TURN)


def bound(how: str, **kwargs: Any) -> None:
    """Have a prefork worker that waits for its tasks give back, in time, those that do not end.

    Killed instead, it would keep them from others until the broker misses it.
    Celery's own soft shutdown does as much, but takes all of its time even where tasks end sooner.
    """
    if how == "Warm":
        late = threading.Timer(DRAIN, os.kill, (os.getpid(), signal.SIGQUIT))
        late.daemon = True
        late.start()


def between_turns(sender: Any, **kwargs: Any) -> None:
    """Have a cold stop begin between two turns of the worker's loop; a second signal stops at once.

    It waits for threads, and they may need a lock that the main thread has where the signal comes.
    """
    stop: Any = signal.getsignal(signal.SIGQUIT)

    def soon(*args: Any) -> None:
        signal.signal(signal.SIGQUIT, stop)
        sender.hub.call_soon(stop, *args)

    signal.signal(signal.SIGQUIT, soon)


def aside(sender: Any, **kwargs: Any) -> None:
    """Have a cold stop, by QUIT, begin in a greenlet of its own.

    Its signal comes while any greenlet runs, a task's too: what the stop raises would fail the task, and
    where it waits, the task would.
    """
    stop: Any = signal.getsignal(signal.SIGQUIT)
    signal.signal(signal.SIGQUIT, lambda *args: _thread.start_new_thread(stop, args))


def over(**kwargs: Any) -> None:
    """Have a process that has stopped end with its own exit status, though it is told to stop again.

    Python takes its handlers away while it ends, and then the signal would end it.
    """
    with suppress(ValueError):  # in a thread of a test
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
