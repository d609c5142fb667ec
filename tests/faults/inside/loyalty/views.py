"""The API of the points."""

import json

from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from loyalty.models import Grant
from loyalty.tasks import book_points


@csrf_exempt
@require_POST
def grant(request: HttpRequest) -> JsonResponse:
    """Grant points under an id that the client has chosen: 201, or 200 where it was known."""
    body = json.loads(request.body)
    with transaction.atomic():
        _, created = Grant.objects.get_or_create(id=body["id"], defaults={"points": 10})
        if created:
            book_points.delay_on_commit(body["id"])
    return JsonResponse({"id": body["id"]}, status=201 if created else 200)
