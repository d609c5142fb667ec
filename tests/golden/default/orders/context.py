"""What every page may show."""

from django.conf import settings
from django.http import HttpRequest


def service(request: HttpRequest) -> dict[str, str]:
    """Return the service's name for people."""
    return {"service_name": settings.SERVICE_NAME}
