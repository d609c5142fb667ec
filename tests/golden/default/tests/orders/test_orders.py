"""What an order is, over HTTP and in the services; without workers."""

import re
import uuid
from collections.abc import Sequence
from decimal import Decimal
from threading import Event, Thread
from typing import Any, ClassVar

import pytest
from django.core import mail
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.db import connection
from django.test import Client
from django.utils.html import escape
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from config.celery import app
from config.queues import WORKERS
from orders import gateway, services
from orders.gateway_stand_in import PaymentService
from orders.models import Invoice, Job, Order
from orders.services import Performer

pytestmark = pytest.mark.django_db(databases="__all__")

SOMEBODY = Performer(task="a task", task_id="1", worker="a worker", queue="a queue")
GOOD = {"email": "a@example.com", "amount": "12.50"}


def post(client: Client, body: object, **headers: str) -> Any:
    return client.post("/api/orders/", body, content_type="application/json", headers=headers)


def placed() -> Order:
    return services.place("a@example.com", Decimal("12.50"))[0]


def next_message() -> Any:
    """Take the next message from the default queue of the real broker."""
    with app.connection_for_read() as connection:
        queue = app.amqp.queues[WORKERS[0].consumes[0]]
        return queue(connection.default_channel).get(no_ack=True)


@pytest.fixture
def gateway_url(payments: PaymentService, settings: Settings) -> PaymentService:
    settings.PAYMENT_GATEWAY_URL = f"http://127.0.0.1:{payments.server_port}"
    return payments


def test_an_order_is_placed_and_can_be_looked_up(client: Client) -> None:
    answer = post(client, GOOD)
    assert answer.status_code == 201
    assert answer.json()["state"] == "placed"
    assert answer.json()["amount"] == "12.50"
    assert client.get(f"/api/orders/{answer.json()['id']}/").json() == answer.json()


def test_a_placed_order_is_on_its_way_once_it_is_committed(
    client: Client, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    app.control.purge()
    with django_capture_on_commit_callbacks(execute=False) as callbacks:
        order_id = post(client, GOOD).json()["id"]
        assert next_message() is None
    for callback in callbacks:
        callback()
    message = next_message()
    assert message.headers["task"] == "orders.tasks.process_order"
    assert message.payload[0] == [order_id]


def test_the_same_key_gives_the_same_order(client: Client) -> None:
    first, second = (post(client, GOOD, **{"Idempotency-Key": "k1"}) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert Order.objects.count() == 1


@pytest.mark.parametrize("change", [{"email": "b@example.com"}, {"amount": "99"}])
def test_a_key_does_not_open_somebody_elses_order(client: Client, change: dict[str, str]) -> None:
    post(client, GOOD, **{"Idempotency-Key": "k1"})
    answer = post(client, GOOD | change, **{"Idempotency-Key": "k1"})
    assert (answer.status_code, list(answer.json())) == (400, ["errors"])


def test_without_a_key_each_request_is_an_order(client: Client) -> None:
    assert post(client, GOOD).json()["id"] != post(client, GOOD).json()["id"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ("", "body"),
        ("{", "body"),
        ("[]", "body"),
        (b"\xff", "body"),
        (b"[" * 100_000, "body"),
        (b" " * 3_000_000, "body"),
        ({"amount": "12.50"}, "email"),
        ({"email": "nobody", "amount": "12.50"}, "email"),
        ({"email": ["a@example.com"], "amount": "12.50"}, "email"),
        ({"email": "a@example.com"}, "amount"),
        ({"email": "a@example.com", "amount": "0"}, "amount"),
        ({"email": "a@example.com", "amount": "-1"}, "amount"),
        ({"email": "a@example.com", "amount": "NaN"}, "amount"),
        ({"email": "a@example.com", "amount": "1.005"}, "amount"),
        ({"email": "a@example.com", "amount": "1e400"}, "amount"),
        ({"email": "a@example.com", "amount": {}}, "amount"),
    ],
)
def test_bad_input_is_refused_with_the_field_and_the_reason(
    client: Client, body: object, field: str
) -> None:
    answer = post(client, body)
    assert answer.status_code == 400
    (reason,) = answer.json()["errors"][field]
    assert reason
    assert not Order.objects.exists()


def test_a_key_that_is_too_long_is_refused(client: Client) -> None:
    answer = post(client, GOOD, **{"Idempotency-Key": "k" * 256})
    assert list(answer.json()["errors"]) == ["idempotency_key"]


def test_an_unknown_order_is_not_found(client: Client) -> None:
    assert client.get(f"/api/orders/{uuid.uuid4()}/").status_code == 404
    assert client.get(f"/orders/{uuid.uuid4()}/").status_code == 404


def test_the_page_places_an_order_and_shows_it(client: Client, settings: Settings) -> None:
    page = client.get("/").content.decode()
    assert "<form" in page
    assert escape(settings.SERVICE_NAME) in page
    page = client.post("/", GOOD, follow=True).content.decode()
    assert "Order Placed" in page
    assert "a@example.com" in page


def test_the_page_shows_what_is_wrong(client: Client) -> None:
    page = client.post("/", {"email": "nobody", "amount": "12.50"})
    assert b"Enter a valid email address." in page.content


def test_the_pages_hold_nothing_that_their_policy_refuses(client: Client) -> None:
    pages = [client.get(path).content.decode() for path in ("/", f"/orders/{placed().id}/")]
    inline = r"<style|<script(?![^>]* src=)|\s(?:style|on[a-z]+)="
    elsewhere = r"(?:src|href|action)=[\"']?(?:https?:)?//"
    assert [re.findall(f"{inline}|{elsewhere}", page) for page in pages] == [[], []]


def test_a_charge_happens_once_however_often_it_is_asked_for(gateway_url: PaymentService) -> None:
    order = placed()
    for _ in range(2):
        services.charge(str(order.id), SOMEBODY)
    # As after a worker that was killed between the charge and the commit.
    Order.objects.update(state=Order.State.PLACED)
    Job.objects.all().delete()
    services.charge(str(order.id), SOMEBODY)
    (charge,) = gateway_url.charges.values()
    assert charge["calls"] == 2
    order.refresh_from_db()
    assert (order.state, order.charge_id) == ("charged", charge["id"])


def test_a_declined_charge_fails_the_order(gateway_url: PaymentService) -> None:
    gateway_url.behaviour = {"status": 402}
    order = placed()
    services.charge(str(order.id), SOMEBODY)
    order.refresh_from_db()
    assert (order.state, order.failure) == ("failed", "The payment was declined.")


def test_a_request_that_the_gateway_rejects_is_not_sent_again(gateway_url: PaymentService) -> None:
    gateway_url.behaviour = {"status": 422}
    order = placed()
    with pytest.raises(gateway.RejectedError, match="422"):
        services.charge(str(order.id), SOMEBODY)
    order.refresh_from_db()
    assert order.state == "placed"


@pytest.mark.parametrize(
    "behaviour", [{"status": 503}, {"status": 409}, {"status": 204}, {"delay": 1}]
)
def test_a_gateway_in_trouble_changes_nothing(
    gateway_url: PaymentService, settings: Settings, behaviour: dict[str, Any]
) -> None:
    settings.PAYMENT_GATEWAY_TIMEOUT = 0.2
    gateway_url.behaviour = behaviour
    order = placed()
    with pytest.raises(gateway.UnavailableError):
        services.charge(str(order.id), SOMEBODY)
    order.refresh_from_db()
    assert order.state == "placed"


def test_each_step_counts_once(gateway_url: PaymentService) -> None:
    order = placed()
    for step in (services.accept, services.charge, services.render_invoice, services.send_receipt):
        step(str(order.id), SOMEBODY)
        step(str(order.id), SOMEBODY)
    order.refresh_from_db()
    assert order.state == "completed"
    assert list(Job.objects.values_list("state", flat=True)) == [
        "placed",
        "charged",
        "invoiced",
        "completed",
    ]
    (message,) = mail.outbox
    assert message.body == Invoice.objects.get().document
    assert message.extra_headers["Message-ID"] == f"<{order.id}@orders>"


def test_a_step_whose_commit_failed_is_done_again(gateway_url: PaymentService) -> None:
    order = placed()
    services.charge(str(order.id), SOMEBODY)
    # Its job stays, where jobs are in a database of their own.
    Order.objects.update(state=Order.State.PLACED)
    services.charge(str(order.id), SOMEBODY)
    order.refresh_from_db()
    assert order.state == "charged"
    assert Job.objects.count() == 1


def test_a_finished_order_does_not_fail_later() -> None:
    order = placed()
    Order.objects.update(state=Order.State.COMPLETED)
    services.fail(str(order.id), "too late")
    order.refresh_from_db()
    assert order.state == "completed"


def test_an_order_that_is_held_says_so_until_it_goes_on(gateway_url: PaymentService) -> None:
    order = placed()
    services.hold(str(order.id), "It is delayed.")
    order.refresh_from_db()
    assert (order.state, order.failure) == ("placed", "It is delayed.")
    services.charge(str(order.id), SOMEBODY)
    order.refresh_from_db()
    assert (order.state, order.failure) == ("charged", "")


class ImpatientMail(BaseEmailBackend):
    """Runs the step a second time, as a redelivered task would, while it sends the mail."""

    sent: ClassVar[list[EmailMessage]] = []
    second_run: ClassVar[Thread]
    both_send = Event()

    def send_messages(self, messages: Sequence[EmailMessage]) -> int:
        self.sent.extend(messages)
        if len(self.sent) > 1:
            self.both_send.set()
        else:
            order_id = str(Order.objects.get().id)
            ImpatientMail.second_run = Thread(target=self.send_again, args=[order_id])
            self.second_run.start()
            self.both_send.wait(timeout=1)
        return len(messages)

    @staticmethod
    def send_again(order_id: str) -> None:
        services.send_receipt(order_id, SOMEBODY)
        connection.close()


@pytest.mark.django_db(transaction=True, databases="__all__")
def test_two_runs_at_once_send_one_receipt(gateway_url: PaymentService, settings: Settings) -> None:
    settings.EMAIL_BACKEND = f"{__name__}.ImpatientMail"
    order_id = str(placed().id)
    services.charge(order_id, SOMEBODY)
    services.render_invoice(order_id, SOMEBODY)
    services.send_receipt(order_id, SOMEBODY)
    ImpatientMail.second_run.join()
    assert len(ImpatientMail.sent) == 1
    assert Order.objects.get().state == "completed"
