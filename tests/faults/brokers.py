"""The brokers: real ones, that can be stopped, killed, and asked what is left in them."""

import json
import os
import signal
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

import kombu
import port_for
import psutil
from mirakuru import TCPExecutor
from mirakuru.exceptions import ProcessExitedWithError, ProcessFinishedWithError
from redis import Redis
from redis.exceptions import BusyLoadingError

from tests.faults.programs import awaited
from tests.servers import PASSWORD, RABBITMQ, redis_program

DATABASES = 3_000  # of one Redis: three for each cell
# What a backlog of Redis has beside its queues.
UNACKED, REPLIES, INDEX = "unacknowledged", "unacknowledged replies", "index without a message"


class Broker(Protocol):
    """What a cell needs of a broker."""

    name: str
    port: int

    def start(self) -> None:
        """Start it, and return once it lets clients in."""

    def stop(self) -> None:
        """Stop it as an operator does."""

    def kill(self) -> int:
        """Kill it without a warning; return the number of the process."""

    def place(self, cell: str) -> str:
        """Return the URL of an empty place of a cell's own."""

    def backlog(self, url: str, queues: Iterable[str]) -> dict[str, int]:
        """Return how many messages are left: by queue, and unacknowledged where it tells."""

    def close_connections(self, url: str) -> int:
        """Close every client's connection; return how many there were, at the least."""

    def put(self, url: str, queue: str, body: str, **properties: Any) -> None:
        """Publish a message that no Celery has written."""

    def delete(self, url: str, queue: str) -> int:
        """Delete a queue; return how many messages went with it."""


class RedisBroker:
    """Redis with an append-only file, unless it is told to keep nothing."""

    name = "redis"

    def __init__(self, folder: Path, *options: str) -> None:
        program = _installed(redis_program(), "redis-server")
        self.port = port_for.select_random()
        folder.mkdir(parents=True, exist_ok=True)
        command = [str(program), "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--dir", str(folder), "--requirepass", PASSWORD, "--save", ""]
        command += ["--databases", str(DATABASES), "--loglevel", "warning"]
        command += options or ("--appendonly", "yes", "--maxmemory-policy", "noeviction")
        self.executor = TCPExecutor(command, "127.0.0.1", self.port, timeout=30)
        self._next = 0

    def start(self) -> None:
        """Start it, and wait until it has read its file."""
        self.executor.start()
        awaited(self._answers, 60, "Redis answers")

    def _answers(self) -> bool:
        with Redis.from_url(self.url(0)) as client, suppress(BusyLoadingError):
            return bool(client.ping())
        return False

    def stop(self) -> None:
        """Stop it, its file written."""
        self.executor.stop()

    def kill(self) -> int:
        """Kill it."""
        return _kill(self.executor)

    def url(self, number: int) -> str:
        """Return the URL of one of its databases."""
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/{number}"

    def place(self, cell: str) -> str:
        """Return the URL of the next database."""
        self._next += 1
        return self.url(self._next)

    def backlog(self, url: str, queues: Iterable[str]) -> dict[str, int]:
        """Return the lengths of the lists, and of what is unacknowledged."""
        with Redis.from_url(url, decode_responses=True) as client:
            found = {queue: cast(int, client.llen(queue)) for queue in queues}
            held = [json.loads(each) for each in cast(list[str], client.hvals("unacked"))]
            index = cast(int, client.zcard("unacked_index"))
        ours = sum(routing_key in found for _, _, routing_key in held)
        # Answers to workers' questions about each other are nobody's tasks, but must not pile up.
        return {**found, UNACKED: ours, REPLIES: len(held) - ours, INDEX: index - len(held)}

    def close_connections(self, url: str) -> int:
        """Close every connection of clients, of this database and all others."""
        with Redis.from_url(self.url(0)) as client:
            clients = len(cast(list[Any], client.client_list())) - 1
            client.execute_command("CLIENT", "KILL", "SKIPME", "yes")
        return clients

    def put(self, url: str, queue: str, body: str, **properties: Any) -> None:
        """Push what kombu takes for a message, or not even that."""
        if properties:
            _put(url, queue, body, **properties)
        else:
            with Redis.from_url(url) as client:
                client.lpush(queue, body)

    def configure(self, name: str, value: str) -> None:
        """Change a setting while it runs."""
        with Redis.from_url(self.url(0)) as client:
            client.config_set(name, value)

    def delete(self, url: str, queue: str) -> int:
        """Delete the list."""
        with Redis.from_url(url) as client:
            length = cast(int, client.llen(queue))
            client.delete(queue)
        return length


class RabbitBroker:
    """RabbitMQ; each cell has a virtual host."""

    name = "rabbitmq"

    def __init__(self, folder: Path) -> None:
        _installed(RABBITMQ if RABBITMQ.exists() else None, "rabbitmq-server")
        self.port = port_for.select_random()
        folder.mkdir(parents=True, exist_ok=True)
        self.environment = {
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(port_for.select_random()),
            "RABBITMQ_NODENAME": f"faults-{self.port}",
            "ERL_EPMD_PORT": str(port_for.select_random()),  # a shared mapper ends with another
            "HOME": str(folder),
        }
        self.executor = TCPExecutor(
            [str(RABBITMQ / "rabbitmq-server")],
            "127.0.0.1",
            self.port,
            timeout=90,
            envvars=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def start(self) -> None:
        """Start it."""
        self.executor.start()
        self.control("await_startup")

    def stop(self) -> None:
        """Stop it; it ends with the number of the signal."""
        with suppress(ProcessExitedWithError, ProcessFinishedWithError):
            self.executor.stop()

    def kill(self) -> int:
        """Kill Erlang's machine and its shell."""
        return _kill(self.executor)

    def control(self, *arguments: str) -> str:
        """Run rabbitmqctl."""
        return subprocess.run(
            [str(RABBITMQ / "rabbitmqctl"), "--quiet", *arguments],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    def place(self, cell: str) -> str:
        """Return the URL of a new virtual host."""
        # One command for both: each takes a second to start.
        self.control(
            "eval",
            f'rabbit_vhost:add(<<"{cell}">>, <<"guest">>), '
            f'rabbit_auth_backend_internal:set_permissions(<<"guest">>, <<"{cell}">>, '
            '<<".*">>, <<".*">>, <<".*">>, <<"guest">>).',
        )
        return f"amqp://guest:guest@127.0.0.1:{self.port}/{cell}"

    def backlog(self, url: str, queues: Iterable[str]) -> dict[str, int]:
        """Return how many messages are ready; without consumers none is unacknowledged."""
        found = {}
        with _connected(url) as connection:
            for queue in queues:
                channel = connection.channel()
                found[queue] = int(channel.queue_declare(queue, passive=True).message_count)
                channel.close()
        return found

    def close_connections(self, url: str) -> int:
        """Close those of the virtual host."""
        vhost = urlsplit(url).path[1:]
        closed = self.control("list_connections", "pid", "vhost").count(vhost)
        self.control("close_all_connections", "--vhost", vhost, "closed by a test")
        return closed

    def put(self, url: str, queue: str, body: str, **properties: Any) -> None:
        """Publish to the queue itself."""
        _put(url, queue, body, **properties)

    def delete(self, url: str, queue: str) -> int:
        """Delete the queue, with what is ready and what is unacknowledged."""
        table = self.control(
            "list_queues", "-p", urlsplit(url).path[1:], "name", "messages"
        ).splitlines()
        messages = next((int(line.split()[1]) for line in table if line.split()[0] == queue), 0)
        with _connected(url) as connection:
            connection.channel().queue_delete(queue)
        return messages


def _connected(url: str) -> Any:
    return kombu.Connection(url)  # type: ignore[attr-defined, no-untyped-call]


def _put(url: str, queue: str, body: str, **properties: Any) -> None:
    with _connected(url) as connection, connection.Producer() as producer:
        # The default exchange of AMQP brings it to the queue of that name.
        producer.publish(body, exchange="", routing_key=queue, **properties)


def _kill(executor: TCPExecutor) -> int:
    """Kill what an executor has started, and make sure that it is gone."""
    assert executor.process, "it does not run"
    shell = psutil.Process(executor.process.pid)
    below = shell.children(recursive=True)
    # Of a shell around the server, the server.
    pid = next((each.pid for each in below if "beam" in each.name()), shell.pid)
    executor.kill(sig=signal.SIGKILL)
    _, left = psutil.wait_procs([shell, *below], timeout=10)
    for each in left:
        each.kill()
    assert not psutil.pid_exists(pid), f"{pid} is still there"
    return pid


def _installed(program: Path | None, package: str) -> Path:
    if program is None:
        raise SystemExit(f"{package} is not installed: sudo make servers")
    return program


BROKERS: dict[str, type[RedisBroker] | type[RabbitBroker]] = {
    "redis": RedisBroker,
    "rabbitmq": RabbitBroker,
}
