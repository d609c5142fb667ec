"""What the tests share: real workers, a web server and a payment service."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dj_database_url
import httpx
import pytest
from django.db import connection
from pytest_django.live_server_helper import LiveServer

from config.celery import app
from config.queues import WORKERS
from orders.gateway_stand_in import PaymentService

START = 60  # seconds that the workers may take
FINISH = 60  # seconds that an order may take


def wait_until(ask: Callable[[], Any], seconds: float) -> Any:
    """Return the first true answer, or fail."""
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {ask}"
        time.sleep(0.1)
    return answer


@pytest.fixture(scope="module")
def payment_service() -> Iterator[PaymentService]:
    """A payment service, up for a whole module."""
    with PaymentService() as service:
        threading.Thread(target=service.serve_forever, daemon=True).start()
        yield service
        service.shutdown()


@pytest.fixture
def payments(payment_service: PaymentService) -> PaymentService:
    """The payment service, well again and without a past."""
    payment_service.reset()
    return payment_service


@pytest.fixture(scope="module")
def mailbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that workers put mail into."""
    return tmp_path_factory.mktemp("mail")


@pytest.fixture(scope="module")
def environment(
    django_db_setup: None, payment_service: PaymentService, mailbox: Path
) -> dict[str, str]:
    """The environment of processes that share the tests' servers."""
    address, mark, options = os.environ["DATABASE_URL"].partition("?")
    server = address.removesuffix(dj_database_url.parse(address)["NAME"])
    return {
        **os.environ,
        "DATABASE_URL": f"{server}{connection.settings_dict['NAME']}{mark}{options}",
        "PAYMENT_GATEWAY_URL": f"http://127.0.0.1:{payment_service.server_port}",
        "EMAIL_URL": f"file:///{mailbox}",
    }


@pytest.fixture(scope="module")
def workers(environment: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Every declared worker, started as in production; yields their `inspect stats` by node."""
    app.control.purge()
    processes = [
        subprocess.Popen([sys.executable, "-m", "workers.run", worker.name], env=environment)
        for worker in WORKERS
    ]

    def stats() -> dict[str, Any] | None:
        answers = app.control.inspect(timeout=1).stats() or {}
        return answers if len(answers) == len(WORKERS) else None

    try:
        yield wait_until(stats, START)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(timeout=START)


@pytest.fixture
def finish(live_server: LiveServer) -> Callable[[str], dict[str, Any]]:
    """Wait until an order has ended, and return it."""

    def finish(order_id: str) -> dict[str, Any]:
        def ended() -> Any:
            order = httpx.get(f"{live_server}/api/orders/{order_id}/").json()
            return order if order["state"] in ("completed", "failed") else None

        order: dict[str, Any] = wait_until(ended, FINISH)
        return order

    return finish
