"""What the tests of the orders share: a payment service, a mailbox, and workers that use them."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pytest_django.live_server_helper import LiveServer

from orders.gateway_stand_in import PaymentService
from tests.conftest import wait_until

FINISH = 60  # seconds that an order may take


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
def worker_environment(payment_service: PaymentService, mailbox: Path) -> dict[str, str]:
    """Where the workers charge, and where they put mail."""
    return {
        "PAYMENT_GATEWAY_URL": f"http://127.0.0.1:{payment_service.server_port}",
        "EMAIL_URL": f"file:///{mailbox}",
    }


@pytest.fixture
def finish(live_server: LiveServer) -> Callable[[str], dict[str, Any]]:
    """Wait until an order has ended, and return it."""

    def finish(order_id: str) -> dict[str, Any]:
        url = f"{live_server}/api/orders/{order_id}/"

        def ended() -> Any:
            order = httpx.get(url, timeout=FINISH).json()
            return order if order["state"] in ("completed", "failed") else None

        order: dict[str, Any] = wait_until(ended, FINISH)
        return order

    return finish
