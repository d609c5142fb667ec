"""The servers of a run: started once, and started anew where a fault has left them broken."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path

import psycopg

from tests.faults.brokers import BROKERS, RabbitBroker, RedisBroker
from tests.servers import postgresql_programs, restartable_postgresql

# Above what all processes of a cell may open, and low enough that a cell can exhaust it.
MAX_CONNECTIONS = 100


class Servers:
    """PostgreSQL and the brokers, each started when it is first asked for."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.stack = stack
        self.folder = folder
        self._brokers: dict[str, RedisBroker | RabbitBroker] = {}
        self._templates: dict[str, str] = {}
        self._places = 0
        stack.callback(self._stop)

    @cached_property
    def _postgresql(self) -> tuple[str, Callable[..., None]]:
        programs = postgresql_programs()
        if programs is None:
            raise SystemExit("postgresql is not installed: sudo make servers")
        options = ("-c", f"max_connections={MAX_CONNECTIONS}", "-c", "log_min_messages=panic")
        return self.stack.enter_context(restartable_postgresql(programs, *options))

    @property
    def postgresql(self) -> str:
        """The URL of a database that no cell uses."""
        return self._postgresql[0]

    def restart_postgresql(self, pause: float) -> None:
        """Restart it, which ends every session.

        pause: how long it is away at least. Seconds.
        """
        self._postgresql[1](pause)

    @cached_property
    def redis(self) -> RedisBroker:
        """A Redis for results and caches, which no fault touches."""
        broker = RedisBroker(self.folder / "redis-beside")
        broker.start()
        return broker

    def broker(self, name: str) -> RedisBroker | RabbitBroker:
        """Return the broker of that name; whoever breaks it mends it, or forgets it."""
        if name not in self._brokers:
            self._places += 1
            folder = self.folder / f"{name}-{self._places}"
            broker = BROKERS[name](folder)
            broker.start()
            self._brokers[name] = broker
        return self._brokers[name]

    @contextmanager
    def forgetful_redis(self) -> Iterator[RedisBroker]:
        """Run a Redis that keeps nothing on disk."""
        self._places += 1
        broker = RedisBroker(self.folder / f"forgetful-{self._places}", "--appendonly", "no")
        broker.start()
        try:
            yield broker
        finally:
            broker.stop()

    def forget(self, name: str) -> None:
        """Stop a broker that nobody should meet again."""
        if broker := self._brokers.pop(name, None):
            broker.stop()

    @contextmanager
    def database(self, cell: str, template: str, migrate: Callable[[str], None]) -> Iterator[str]:
        """Make a database for a cell; yield its URL.

        template: the name of those that are alike.
        migrate: makes the tables in the first of them, from which the others are copied.
        """
        server = self.postgresql.rpartition("/")[0]
        if template not in self._templates:
            name = f"template_{len(self._templates)}"
            self._ask(f"CREATE DATABASE {name}")
            migrate(f"{server}/{name}")
            self._templates[template] = name
        self._ask(f"CREATE DATABASE {cell} TEMPLATE {self._templates[template]}")
        try:
            yield f"{server}/{cell}"
        finally:
            self._ask(f"DROP DATABASE {cell} WITH (FORCE)")

    def _ask(self, statement: str) -> None:
        with psycopg.connect(self.postgresql, autocommit=True) as connection:
            connection.execute(statement.encode())

    def _stop(self) -> None:
        for name in list(self._brokers):
            self.forget(name)
        if "redis" in self.__dict__:
            self.redis.stop()
