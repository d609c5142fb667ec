"""What holds for children: no thread is at work while one is forked, and none outlives its parent."""

import os
import signal
import sys
from ctypes import CDLL
from threading import Lock

# How long a fork waits for the thread. Seconds.
PATIENCE = 10
PR_SET_PDEATHSIG = 1  # of prctl(2)


class ForkLock:
    """Held by a thread while it works, and by each fork of its process.

    A child must not begin with a connection, or a lock of some library, that is in the hands of a
    thread which the child does not have: it would wait for that lock for ever.
    """

    def __init__(self) -> None:
        self.lock = Lock()
        self.taken = False
        os.register_at_fork(
            before=self._take, after_in_parent=self._give_back, after_in_child=self._give_back
        )

    def __enter__(self) -> None:
        self.lock.acquire()

    def __exit__(self, *exc_info: object) -> None:
        self.lock.release()

    def _take(self) -> None:
        self.taken = self.lock.acquire(timeout=PATIENCE)

    def _give_back(self) -> None:
        if self.taken:
            self.lock.release()


def end_with_parent() -> None:
    """Have this child killed with its parent: by then others run the task that it is at."""
    if sys.platform == "linux":
        CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
