"""The steps of an order as tasks: thin, typed, safe to run twice. The work is in services.py."""

from typing import Any

from celery import Task, chain, shared_task
from celery.utils.log import get_task_logger

from orders import gateway, services
from orders.services import Performer

logger = get_task_logger(__name__)


# Nobody waits for its result, and a request that sends it must need no result backend.
@shared_task(bind=True, ignore_result=True)
def process_order(self: Task, order_id: str) -> None:
    """Take an order through its steps, each on the queue that config/queues.py gives it."""
    services.accept(order_id, performer(self))
    steps = chain(call_gateway.si(order_id), render_invoice.si(order_id), send_receipt.si(order_id))
    steps.on_error(say_so.s(order_id)).delay()


@shared_task(
    bind=True,
    autoretry_for=(gateway.UnavailableError,),
    retry_backoff=True,
    retry_backoff_max=60,
    retry_jitter=True,
    max_retries=8,
)
def call_gateway(self: Task, order_id: str) -> None:
    """Charge the order. The payment service deduplicates on the order's id."""
    services.charge(order_id, performer(self))


@shared_task(bind=True)
def render_invoice(self: Task, order_id: str) -> None:
    """Render the invoice; this one needs a CPU."""
    services.render_invoice(order_id, performer(self))


@shared_task(
    bind=True, autoretry_for=(OSError,), retry_backoff=True, retry_backoff_max=60, max_retries=8
)
def send_receipt(self: Task, order_id: str) -> None:
    """Mail the receipt and complete the order."""
    services.send_receipt(order_id, performer(self))


@shared_task
def say_so(request: Any, exception: Exception, traceback: Any, order_id: str) -> None:
    """Tell the customer that a step failed for good: it is a dead letter, and can be sent again."""
    logger.error("Order %s stopped at %s", order_id, request.task)
    services.hold(order_id, "This order is delayed. We are looking into it.")


def performer(task: Task) -> Performer:
    """Return what a job row says about the running task."""
    request = task.request
    return Performer(
        task=task.name,
        task_id=request.id or "",
        worker=request.hostname or "",
        queue=(request.delivery_info or {}).get("routing_key") or "",
    )
