"""What a worker says of a Redis that may lose tasks, or has."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from tests.probed import Probed, probed
from tests.servers import real_redis
from tests.test_transport import SILENCE, silence

SAFE = ("--appendonly", "yes")
FORGETFUL = ("--appendonly", "no", "--save", "")
SMALL = ("--maxmemory", "3mb", "--maxmemory-policy", "allkeys-lru")


@pytest.fixture
def on(tmp_path: Path, environment: Any) -> Callable[[str], Probed]:
    """Render a project whose broker is a given server."""

    def make(redis: str) -> Probed:
        url = f"sqlite:///{tmp_path}/db.sqlite3"
        project = probed(
            tmp_path, environment("5.2"), url, redis, database="sqlite", queues="jobs:threads:2"
        )
        silence(project.project)
        return project

    return make


def test_a_redis_that_keeps_what_it_accepts_is_not_warned_of(
    on: Callable[[str], Probed], redis_server: Path, tmp_path: Path
) -> None:
    with real_redis(redis_server, tmp_path, *SAFE) as redis:
        project = on(redis)
        with project.working() as worker:
            project.touch(1)
            project.wait_for(lambda: project.ledger.hlen("done") == 1, worker)
    assert "appendonly" not in project.output()
    assert "maxmemory-policy" not in project.output()


def test_a_redis_without_a_log_is_warned_of_and_its_loss_is_reported(
    on: Callable[[str], Probed], redis_server: Path, tmp_path: Path
) -> None:
    with real_redis(redis_server, tmp_path, *FORGETFUL) as redis:
        project = on(redis)
        port = int(redis.rpartition(":")[2])
        with project.working() as worker:
            project.wait_for(lambda: "Set `appendonly yes`" in project.output(), worker)
            Redis.from_url(redis).shutdown(nosave=True)
            with real_redis(redis_server, tmp_path, *FORGETFUL, port=port):
                project.wait_for(lambda: "tasks of that time are lost" in project.output(), worker)
    assert project.output().count("Set `appendonly yes`") == 1


def test_a_redis_that_is_full_is_emptied_by_a_worker_that_starts_over_it(
    environment: Any, redis_url: str, redis_server: Path, tmp_path: Path
) -> None:
    with real_redis(redis_server, tmp_path, *SAFE) as full:
        url = f"sqlite:///{tmp_path}/db.sqlite3"
        project = probed(
            tmp_path, environment("5.2"), url, redis_url, database="sqlite", queues="jobs:prefork:2"
        )
        silence(project.project)
        project.environment["CELERY_BROKER_URL"] = f"{full}/0"
        broker = Redis.from_url(full)
        project.touch(50)
        broker.config_set("maxmemory", broker.info()["used_memory"] // 2)
        with project.working() as worker:
            project.wait_for(lambda: project.ledger.hlen("done") == 50, worker)
            project.wait_for(lambda: not broker.hlen("unacked"), worker)
            assert not broker.llen("jobs")
            # Alive for others all the while.
            project.wait_for(lambda: broker.ttl(alive(broker)) == SILENCE, worker)
    assert "Unrecoverable" not in project.output()


def alive(broker: Any) -> Any:
    """Return the key by which the one worker says that it is alive."""
    (consumer,) = broker.smembers("unacked:consumers")
    return b"unacked:%b:alive" % consumer


def test_a_redis_that_throws_away_is_warned_of_and_its_loss_is_reported(
    on: Callable[[str], Probed], redis_server: Path, tmp_path: Path
) -> None:
    with real_redis(redis_server, tmp_path, *SAFE, *SMALL) as redis:
        project = on(redis)
        with project.working() as worker:
            project.wait_for(lambda: "maxmemory-policy allkeys-lru" in project.output(), worker)
            filler = Redis.from_url(redis)
            for number in range(200):
                filler.set(f"filler {number}", "x" * 100_000)
            project.wait_for(lambda: "thrown keys away" in project.output(), worker)
