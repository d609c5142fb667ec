"""What monitors see of tasks."""

import subprocess
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from tests.baked import PATIENCE
from tests.probed import probed

SEND = """if 1:
    from probe.tasks import sleep
    for _ in range(30):
        sleep.delay("slept")
"""
SEEN = {"task-sent", "task-received", "task-started", "task-succeeded"}


@pytest.mark.parametrize("pool", ["prefork", pytest.param("gevent", marks=pytest.mark.long)])
def test_a_monitor_sees_each_task_from_its_sending_to_its_end(
    tmp_path: Path, environment: Any, redis_url: str, pool: str
) -> None:
    database = f"sqlite:///{tmp_path}/db"
    queues = f"jobs:{pool}:2"
    project = probed(
        tmp_path, environment("5.2"), database, redis_url, database="sqlite", queues=queues
    )
    events: dict[str, set[str]] = defaultdict(set)

    def note(event: dict[str, Any]) -> None:
        events[event.get("uuid", "")].add(event["type"])
        receiver.should_stop = sum(found >= SEEN for found in events.values()) == 30

    with (
        project.working(),
        Celery(broker=project.environment["CELERY_BROKER_URL"], set_as_current=False) as monitor,
        monitor.connection_for_read() as connection,
    ):
        receiver = monitor.events.Receiver(connection, handlers={"*": note})
        consumer = receiver.itercapture(timeout=30)
        next(consumer)  # it is listening
        # Ends at once, with the last events still waiting.
        shell = [".venv/bin/python", "manage.py", "shell", "--verbosity=0", "--command", SEND]
        environ = project.project.environment(**project.environment)
        sender = subprocess.Popen(shell, cwd=project.project.path, env=environ)
        deadline = time.monotonic() + PATIENCE
        for _ in consumer:
            assert time.monotonic() < deadline, dict(events)
        assert sender.wait() == 0
    assert receiver.should_stop
