"""Real workers on a real broker and database, from the request to the receipt."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from pytest_django.live_server_helper import LiveServer

from config.celery import app
from config.queues import WORKERS
from orders.gateway_stand_in import PaymentService
from orders.models import Order
from orders.tasks import process_order
from tests.conftest import wait_until
from tests.orders.conftest import FINISH
from workers import replay
from workers.models import DeadLetter

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")

ORDER = {"email": "a@example.com", "amount": "12.50"}
STEPS = ["process_order", "call_gateway", "render_invoice", "send_receipt"]


def place(live_server: LiveServer) -> str:
    order_id: str = httpx.post(f"{live_server}/api/orders/", json=ORDER, timeout=FINISH).json()[
        "id"
    ]
    return order_id


def receipts(mailbox: Path, order: dict[str, Any]) -> list[str]:
    """Return the mails about an order."""
    mails = [path.read_text() for path in mailbox.iterdir()]
    return [text for text in mails if f"Invoice {order['id']}" in text]


def test_an_order_goes_from_the_request_to_the_receipt(
    workers: dict[str, Any],
    live_server: LiveServer,
    finish: Callable[[str], dict[str, Any]],
    payments: PaymentService,
    mailbox: Path,
) -> None:
    order = finish(place(live_server))
    assert order["state"] == "completed", order
    assert [job["task"] for job in order["jobs"]] == [f"orders.tasks.{step}" for step in STEPS]
    for job in order["jobs"]:
        assert job["queue"] == app.amqp.router.route({}, job["task"])["queue"].name
        name = job["worker"].partition("@")[0]
        assert job["queue"] in next(w.consumes for w in WORKERS if w.name == name)
    assert [charge["calls"] for charge in payments.charges.values()] == [1]
    (receipt,) = receipts(mailbox, order)
    assert "Amount: 12.50" in receipt


def test_an_order_survives_a_payment_service_in_trouble(
    workers: dict[str, Any],
    live_server: LiveServer,
    finish: Callable[[str], dict[str, Any]],
    payments: PaymentService,
) -> None:
    payments.behaviour = {"status": 503}
    order_id = place(live_server)
    wait_until(lambda: payments.refusals, 30)
    payments.behaviour = {}
    assert finish(order_id)["state"] == "completed"


def test_an_order_whose_step_failed_for_good_goes_on_once_that_is_sent_again(
    workers: dict[str, Any],
    finish: Callable[[str], dict[str, Any]],
    payments: PaymentService,
) -> None:
    # There is no such order yet, and no retry helps.
    order = Order(email=ORDER["email"], amount=Decimal(ORDER["amount"]))
    process_order.delay(str(order.id))
    letter = wait_until(DeadLetter.objects.first, 30)
    assert letter.task == "orders.tasks.call_gateway"
    order.save()
    replay.send_again(letter)
    assert finish(str(order.id))["state"] == "completed"


def test_a_declined_payment_ends_the_order(
    workers: dict[str, Any],
    live_server: LiveServer,
    finish: Callable[[str], dict[str, Any]],
    payments: PaymentService,
    mailbox: Path,
) -> None:
    payments.behaviour = {"status": 402}
    order = finish(place(live_server))
    assert (order["state"], order["failure"]) == ("failed", "The payment was declined.")
    assert receipts(mailbox, order) == []
