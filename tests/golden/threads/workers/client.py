"""A client for a Redis that may be full: workers must be able to empty it."""

# celery-types leaves out what a transport is made of.
# mypy: disable-error-code="attr-defined, misc"

from typing import Any

from kombu.transport import redis
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


class OneClient(redis.Channel):
    """A channel with one client, which threads may share: to make one takes as long as a command."""

    ours: Client | None = None

    def _get_client(self) -> type[Client]:
        return Client

    def _create_client(self, asynchronous: bool = False) -> Any:
        if asynchronous:
            return super()._create_client(asynchronous)
        if self.ours is None or self.ours.connection_pool is not self.pool:
            self.ours = super()._create_client()
        return self.ours
