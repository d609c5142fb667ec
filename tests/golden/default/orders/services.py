"""What can be done with an order. Each step is safe to run twice: only the first one counts."""

import hashlib
from dataclasses import asdict, dataclass
from decimal import Decimal

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import QuerySet

from orders import gateway
from orders.models import Invoice, Job, Order
from workers.connections import give_back

State = Order.State

# About a quarter of a second of one CPU core.
SEAL_ROUNDS = 600_000


class KeyTakenError(Exception):
    """An idempotency key was used before, for another order."""


@dataclass(frozen=True)
class Performer:
    """The task that does a step, and where it runs."""

    task: str
    task_id: str
    worker: str
    queue: str


def place(email: str, amount: Decimal, idempotency_key: str | None = None) -> tuple[Order, bool]:
    """Place an order and have it processed; return it and whether it is new.

    A key that was used before gives its order.

    Raises KeyTakenError where that order is another one: a key must not open somebody else's.
    """
    # Here, because tasks call this module.
    from orders.tasks import process_order

    # Both or neither: an order that is there is on its way, whatever dies meanwhile.
    with transaction.atomic():
        if idempotency_key is None:
            order, created = Order.objects.create(email=email, amount=amount), True
        else:
            order, created = Order.objects.get_or_create(
                idempotency_key=idempotency_key, defaults={"email": email, "amount": amount}
            )
        if created:
            process_order.delay_on_commit(str(order.id))  # type: ignore[attr-defined]  # celery-types lacks it
    if (order.email, order.amount) != (email, amount):
        raise KeyTakenError("This key was used for another order.")
    return order, created


def accept(order_id: str, by: Performer) -> None:
    """Write down who took the order on."""
    Job.objects.get_or_create(order_id=order_id, state=State.PLACED, defaults=asdict(by))


def charge(order_id: str, by: Performer) -> None:
    """Charge the order; it fails where the payment is declined.

    Raises gateway.UnavailableError, and then nothing has changed here.
    """
    order = Order.objects.get(pk=order_id)
    if order.state != State.PLACED:
        return
    # The payment service may take its time; others of this process can use the connection meanwhile.
    give_back()
    try:
        # The order's id is the key: a second call with it is not a second charge.
        charge_id = gateway.charge(order.amount, idempotency_key=str(order.id))
    except gateway.DeclinedError as declined:
        fail(order_id, str(declined))
    else:
        _advance(order_id, State.PLACED, State.CHARGED, by, charge_id=charge_id)


def render_invoice(order_id: str, by: Performer) -> None:
    """Write and seal the invoice of a charged order."""
    order = Order.objects.get(pk=order_id)
    if order.state != State.CHARGED:
        return
    document = f"Invoice {order.id}\n\nTo: {order.email}\nAmount: {order.amount}\n"
    seal = hashlib.pbkdf2_hmac("sha256", document.encode(), order.id.bytes, SEAL_ROUNDS).hex()
    with transaction.atomic():
        if _advance(order_id, State.CHARGED, State.INVOICED, by):
            Invoice.objects.create(order=order, document=document, seal=seal)


def send_receipt(order_id: str, by: Performer) -> None:
    """Mail the invoice and complete the order.

    A mail server knows no idempotency key: killed between the mail and the commit, this sends
    the mail again, under the same Message-ID.
    """
    with transaction.atomic():
        # Locked, so that a second run of this task waits, and finds the order completed.
        order = Order.objects.select_for_update().get(pk=order_id)
        if order.state != State.INVOICED:
            return
        EmailMessage(
            subject=f"{settings.SERVICE_NAME}: your receipt",
            body=order.invoice.document,
            to=[order.email],
            headers={"Message-ID": f"<{order.id}@orders>"},
        ).send()
        _advance(order_id, State.INVOICED, State.COMPLETED, by)


def fail(order_id: str, reason: str) -> None:
    """End the order as failed, unless it has ended already."""
    _open(order_id).update(state=State.FAILED, failure=reason[:200])


def hold(order_id: str, reason: str) -> None:
    """Say why the order does not go on, until it does; it stays in its state."""
    _open(order_id).update(failure=reason[:200])


def _open(order_id: str) -> QuerySet[Order]:
    return Order.objects.filter(pk=order_id).exclude(state__in=(State.COMPLETED, State.FAILED))


def _advance(order_id: str, old: State, new: State, by: Performer, **changes: str) -> bool:
    """Move the order from one state to the next; return False where somebody else already did."""
    with transaction.atomic():
        # What had stopped it is over.
        changes = {"failure": "", **changes}
        moved = Order.objects.filter(pk=order_id, state=old).update(state=new, **changes)
        if moved:
            # Where jobs are in a database of their own, one is left of a run that failed to commit.
            Job.objects.get_or_create(order_id=order_id, state=new, defaults=asdict(by))
    return bool(moved)
