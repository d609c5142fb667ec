"""How a worker stops: in bounded time, and without waiting for itself."""

import os
import signal
import threading
from typing import Any

from config.limits import DRAIN


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
