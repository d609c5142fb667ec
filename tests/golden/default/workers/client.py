"""A client for a Redis that may be full: workers must be able to empty it."""

from typing import Any

from redis import Redis

INSIST = "#!lua flags=allow-oom\nreturn redis.call(unpack(ARGV))"


class Client(Redis):
    """Makes a pipeline a transaction only where it is told to.

    A Redis that is full refuses whatever is in a transaction, what makes room included.
    """

    def pipeline(self, transaction: bool = False, *args: Any, **kwargs: Any) -> Any:
        """Return a pipeline."""
        return super().pipeline(transaction, *args, **kwargs)

    def insist(self, *command: str | int | bytes) -> Any:
        """Run a command that writes, also where there is no memory left for it."""
        return self.eval(INSIST, 0, *command)
