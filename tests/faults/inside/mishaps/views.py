"""Grants that are asked for in an odd way; an answer of 409 says that nothing was accepted."""

import json
from collections.abc import Callable

from celery import chord
from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from loyalty.models import Grant
from loyalty.tasks import book_points
from mishaps.tasks import book_with_text, finish, member

COUNTDOWN = 3  # seconds
OVERSIZED = 400 * 1024  # bytes


class RolledBackError(Exception):
    """What a view may raise after it has sent a task."""


def _rolled_back(grant: str) -> None:
    book_points.delay_on_commit(grant)
    raise RolledBackError


def _in_a_chord(grant: str) -> None:
    members = [member.si(grant, number) for number in range(3)]
    transaction.on_commit(lambda: chord(members)(finish.s(grant)))


WAYS: dict[str, Callable[[str], object]] = {
    "rolled-back": _rolled_back,
    "later": lambda grant: book_points.apply_async_on_commit((grant,), countdown=COUNTDOWN),
    "unroutable": lambda grant: book_points.apply_async_on_commit((grant,), queue="nowhere"),
    "oversized": lambda grant: book_with_text.delay_on_commit(grant, "x" * OVERSIZED),
    "not-json": lambda grant: book_with_text.delay_on_commit(grant, object()),
    "chord": _in_a_chord,
    "named": lambda grant: book_points.apply_async_on_commit((grant,), task_id=grant),
    "named-later": lambda grant: book_points.apply_async_on_commit(
        (grant,), task_id=grant, countdown=COUNTDOWN
    ),
}


@csrf_exempt
@require_POST
def grant(request: HttpRequest, way: str) -> JsonResponse:
    """Grant points in one of these ways."""
    body = json.loads(request.body)
    try:
        with transaction.atomic():
            Grant.objects.create(id=body["id"], points=10)
            WAYS[way](body["id"])
    except Exception as error:
        return JsonResponse({"error": f"{type(error).__name__}: {error}"}, status=409)
    return JsonResponse({"id": body["id"]}, status=201)
