"""Bounds how long a prefork worker takes to stop."""

import os
import signal
import threading
from typing import Any

from config.limits import DRAIN


def bound(how: str, **kwargs: Any) -> None:
    """Have a worker that waits for its tasks give back, in time, those that do not end.

    Killed instead, it would keep them from others until the broker misses it.
    Celery's own soft shutdown does as much, but takes all of its time even where tasks end sooner.
    """
    if how == "Warm":
        late = threading.Timer(DRAIN, os.kill, (os.getpid(), signal.SIGQUIT))
        late.daemon = True
        late.start()
