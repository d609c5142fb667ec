"""What probes of a running web are told while its servers restart and go away."""

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import port_for
import pytest

from tests.baked import PATIENCE, wait_until
from tests.probed import Probed, probed
from tests.servers import real_redis, restartable_postgresql

AWAY = 10  # seconds


@contextmanager
def web(project: Probed) -> Iterator[str]:
    """Serve a project as in production."""
    port = port_for.select_random()
    bind = f"--bind=127.0.0.1:{port}"
    process = subprocess.Popen(
        [".venv/bin/python", "-m", "gunicorn", "--config=python:config.web", bind, "config.wsgi"],
        cwd=project.project.path,
        env=project.project.environment(**project.environment, DJANGO_DEBUG="false")
        | {"DJANGO_ALLOWED_HOSTS": "example.com"},
    )
    url = f"http://127.0.0.1:{port}"

    def is_up() -> bool:
        assert process.poll() is None
        try:
            return told(url, "/healthz") == (200, ["ok"])
        except httpx.TransportError:
            return False

    try:
        wait_until(is_up, PATIENCE)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)


def told(url: str, path: str) -> tuple[int, list[str]]:
    """Return the status and the lines that a probe gets."""
    answer = httpx.get(f"{url}{path}", timeout=PATIENCE)
    return answer.status_code, answer.text.splitlines()


@pytest.mark.parametrize("strategy", ["persistent", pytest.param("pool", marks=pytest.mark.long)])
def test_a_server_that_is_away_is_named_until_it_is_back(
    tmp_path: Path, environment: Any, postgresql: Path, redis_server: Path, strategy: str
) -> None:
    with ExitStack() as redis, ExitStack() as database:
        broker = redis.enter_context(real_redis(redis_server, tmp_path))
        url, restart = database.enter_context(restartable_postgresql(postgresql))
        project = probed(tmp_path, environment("5.2"), url, broker, db_connection=strategy)
        with web(project) as service:
            assert told(service, "/readyz") == (200, ["ok"])
            restart()
            assert told(service, "/readyz") == (200, ["ok"])
            with ThreadPoolExecutor() as aside:
                back = aside.submit(restart, AWAY)
                wait_until(lambda: told(service, "/readyz") == (503, ["database default"]), AWAY)
                back.result()
            assert told(service, "/readyz") == (200, ["ok"])
            redis.close()
            assert told(service, "/readyz") == (503, ["broker"])
            redis.enter_context(real_redis(redis_server, tmp_path, port=urlsplit(broker).port))
            assert told(service, "/readyz") == (200, ["ok"])
            database.close()
            redis.close()
            assert told(service, "/readyz") == (503, ["database default", "broker"])
            assert told(service, "/healthz") == (200, ["ok"])
            assert httpx.get(f"{service}/admin/", timeout=PATIENCE).status_code == 400
