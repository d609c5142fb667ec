"""The pages and the JSON API of the orders."""

import json
import uuid
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from orders import services
from orders.forms import IdempotencyForm, OrderForm
from orders.models import Job, Order


@require_http_methods(["GET", "HEAD", "POST"])
def place_page(request: HttpRequest) -> HttpResponse:
    """Show the form, and place the order that it describes."""
    form = OrderForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        order, _ = services.place(form.cleaned_data["email"], form.cleaned_data["amount"])
        return redirect("order-page", order.id)
    return render(request, "orders/place.html", {"form": form})


@require_GET
def order_page(request: HttpRequest, order_id: uuid.UUID) -> HttpResponse:
    """Show where an order is, and which worker brought it there."""
    order = get_object_or_404(Order, pk=order_id)
    return render(request, "orders/order.html", {"order": order, "jobs": _jobs(order)})


# No cookie gives any right here, so there is nothing that a forged request could borrow.
@csrf_exempt
@require_POST
def place(request: HttpRequest) -> JsonResponse:
    """Place an order: 201, or 200 where its Idempotency-Key already placed one."""
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError):
        return _refusal({"body": ["This is not JSON, or nested too deeply."]})
    except RequestDataTooBig:
        return _refusal({"body": ["This is too large."]})
    if not isinstance(body, dict):
        return _refusal({"body": ["This is not a JSON object."]})

    form = OrderForm(body)
    key = IdempotencyForm({"idempotency_key": request.headers.get("Idempotency-Key", "")})
    if not (form.is_valid() and key.is_valid()):
        return _refusal(form.errors | key.errors)

    try:
        order, created = services.place(
            form.cleaned_data["email"],
            form.cleaned_data["amount"],
            key.cleaned_data["idempotency_key"],
        )
    except services.KeyTakenError as taken:
        return _refusal({"idempotency_key": [str(taken)]})
    return JsonResponse(_as_json(order), status=201 if created else 200)


@require_GET
def order(request: HttpRequest, order_id: uuid.UUID) -> JsonResponse:
    """Tell where an order is."""
    return JsonResponse(_as_json(get_object_or_404(Order, pk=order_id)))


def _jobs(order: Order) -> list[Job]:
    return list(Job.objects.filter(order_id=order.id))


def _as_json(order: Order) -> dict[str, Any]:
    return {
        "id": str(order.id),
        "state": order.state,
        "amount": f"{order.amount:.2f}",
        "failure": order.failure,
        "jobs": [
            {"state": job.state, "task": job.task, "worker": job.worker, "queue": job.queue}
            for job in _jobs(order)
        ],
    }


def _refusal(errors: dict[str, Any]) -> JsonResponse:
    return JsonResponse({"errors": {field: list(errors[field]) for field in errors}}, status=400)
