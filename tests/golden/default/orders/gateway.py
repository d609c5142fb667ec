"""Talks to the payment service."""

import logging
from decimal import Decimal

import httpx
from django.conf import settings

# A line for every call is noise; failures are raised anyway.
logging.getLogger("httpx").setLevel(logging.WARNING)


class UnavailableError(Exception):
    """The payment service did not answer, or not sensibly. Worth another try."""


class RejectedError(Exception):
    """The payment service does not take such a request. Another try would not help; a mend would."""


class DeclinedError(Exception):
    """The payment service refused the charge. Another try would not help."""


# Answers that blame the request, and may be others in a moment: such as that an earlier request of
# the same key is still under way.
TRY_AGAIN = {
    httpx.codes.REQUEST_TIMEOUT,
    httpx.codes.CONFLICT,
    httpx.codes.TOO_EARLY,
    httpx.codes.TOO_MANY_REQUESTS,
}


def charge(amount: Decimal, idempotency_key: str) -> str:
    """Charge an amount once for each key and return the id of the charge.

    Raises UnavailableError, RejectedError or DeclinedError.
    """
    try:
        response = httpx.post(
            f"{settings.PAYMENT_GATEWAY_URL}/charges",
            json={"amount": str(amount)},
            headers={"Idempotency-Key": idempotency_key},
            timeout=settings.PAYMENT_GATEWAY_TIMEOUT,
        )
    except httpx.RequestError as error:
        raise UnavailableError(f"{type(error).__name__}: {error}") from error
    if response.status_code == httpx.codes.PAYMENT_REQUIRED:
        raise DeclinedError("The payment was declined.")
    if response.is_client_error and response.status_code not in TRY_AGAIN:
        raise RejectedError(f"The payment service answered {response.status_code}.")
    if not response.is_success:
        raise UnavailableError(f"The payment service answered {response.status_code}.")
    try:
        return str(response.json()["id"])
    except (ValueError, KeyError, TypeError) as error:
        raise UnavailableError("The payment service answered something else.") from error
