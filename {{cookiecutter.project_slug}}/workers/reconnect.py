"""Has a pool of connections go on connecting while its server is away."""

from contextlib import suppress
from typing import Any


def try_again(pool: Any) -> None:
    """Begin to connect anew, for those that wait; psycopg's pools call it once they have given up.

    By itself a pool does so when the next one asks, and by then all may be waiting.
    """
    with suppress(Exception):  # its server is still away, or it is closed
        pool.putconn(pool.getconn(timeout=0.01))
