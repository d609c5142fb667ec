"""The servers of a run: real ones of this machine, thrown away afterwards."""

import tempfile
from contextlib import ExitStack
from functools import cached_property
from itertools import count
from pathlib import Path

import psycopg
from psycopg.sql import SQL, Identifier
from pytest_rabbitmq.factories.executor import RabbitMqExecutor
from redis import Redis

from tests.servers import (
    postgresql_programs,
    rabbitmq_programs,
    real_postgresql,
    real_rabbitmq,
    real_redis,
    redis_program,
)

REDIS_DATABASES = 100
# Above what the variant with the most would open, so that none fails where another is measured.
POSTGRESQL_CONNECTIONS = 500


class Servers:
    """Redis, PostgreSQL and RabbitMQ, each started when it is first asked for."""

    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack
        self.started: dict[str, str] = {}  # the versions by the servers' names
        self._redis_databases = count()

    @cached_property
    def redis(self) -> str:
        """The URL of Redis, without a database; it writes nothing to disk, for any variant."""
        program = _installed(redis_program(), "redis-server")
        options = ["--databases", str(REDIS_DATABASES), "--save", "", "--appendonly", "no"]
        url = self.stack.enter_context(real_redis(program, self._folder("redis"), *options))
        self.started["Redis"] = Redis.from_url(url).info("server")["redis_version"]
        return url

    def redis_database(self) -> str:
        """Return the URL of a Redis database that nobody else has."""
        return f"{self.redis}/{next(self._redis_databases)}"

    @cached_property
    def postgresql(self) -> str:
        """The URL of PostgreSQL's own database, from which the others are watched."""
        programs = _installed(postgresql_programs(), "postgresql")
        # Without the lines about its own start and stop, and who came too early.
        options = [
            "-c",
            f"max_connections={POSTGRESQL_CONNECTIONS}",
            "-c",
            "log_min_messages=panic",
        ]
        return self.stack.enter_context(real_postgresql(programs, *options))

    @cached_property
    def watch(self) -> psycopg.Connection:
        """A connection that sees every database, and counts in none of them."""
        connection = psycopg.connect(self.postgresql, autocommit=True)
        version = connection.info.parameter_status("server_version") or "?"
        self.started["PostgreSQL"] = version.split()[0]
        return self.stack.enter_context(connection)

    def database(self, name: str, template: str) -> str:
        """Make a database as another one is now, to which nobody is connected; return its URL."""
        query = SQL("CREATE DATABASE {} TEMPLATE {}")
        self.watch.execute(query.format(Identifier(name), Identifier(template)))
        return f"{self.postgresql.rpartition('/')[0]}/{name}"

    def connected(self, name: str) -> int:
        """Return how many connections a database has now."""
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
        return int(self.watch.execute(query, [name]).fetchall()[0][0])

    def opened(self, name: str) -> int:
        """Return how many connections have been opened to a database, as those that ended say."""
        query = "SELECT sessions FROM pg_stat_database WHERE datname = %s"
        return int(self.watch.execute(query, [name]).fetchall()[0][0])

    @cached_property
    def rabbitmq(self) -> RabbitMqExecutor:
        """RabbitMQ."""
        programs = _installed(rabbitmq_programs(), "rabbitmq-server")
        server = self.stack.enter_context(real_rabbitmq(programs, self._folder("rabbitmq")))
        self.started["RabbitMQ"] = server.rabbitctl_output("version").split()[-1]
        return server

    def vhost(self, name: str) -> str:
        """Make a virtual host of RabbitMQ and return its URL."""
        self.rabbitmq.rabbitctl_output("add_vhost", name)
        self.rabbitmq.rabbitctl_output("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
        return f"amqp://guest:guest@127.0.0.1:{self.rabbitmq.port}/{name}"

    def _folder(self, name: str) -> Path:
        return Path(
            self.stack.enter_context(tempfile.TemporaryDirectory(prefix=f"{name}-"))
        ).resolve()


def _installed(program: Path | None, package: str) -> Path:
    if program is None:
        raise SystemExit(f"{package} is not installed: sudo make servers")
    return program
