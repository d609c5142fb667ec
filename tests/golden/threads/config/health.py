"""Says over HTTP whether the web lives (/healthz), and whether it can serve (/readyz)."""

import logging
from collections.abc import Callable, Iterator

from celery import current_app
from django.db import connections
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse

logger = logging.getLogger(__name__)

# How long the broker may take to answer. Seconds.
PATIENCE = 2


class HealthMiddleware:
    """Answers probes before any other middleware does.

    A probe comes without TLS, and names whatever host it likes: neither may fail it.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path == "/healthz":
            return _answer([])
        if request.path == "/readyz":
            return _answer(list(failing()))
        return self.get_response(request)


def failing() -> Iterator[str]:
    """Yield the name of each thing that the web needs and lacks."""
    checks = {f"database {alias}": _database(alias) for alias in connections}
    for name, check in {**checks, "broker": _broker}.items():
        try:
            yield from check()
        except Exception as error:  # whatever it is, the answer is no
            logger.warning("%s: %s", name, error)
            yield name


def _database(alias: str) -> Callable[[], Iterator[str]]:
    def check() -> Iterator[str]:
        connection = connections[alias]
        connection.ensure_connection()
        executor = MigrationExecutor(connection)  # asks which migrations were applied
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            yield f"migrations of {alias}"

    return check


def _broker() -> Iterator[str]:
    with current_app.connection_for_write(connect_timeout=PATIENCE) as connection:
        connection.ensure_connection(max_retries=1, timeout=PATIENCE)
        with connection.channel():
            yield from ()


def _answer(failing: list[str]) -> HttpResponse:
    text = "\n".join(failing or ["ok"])
    return HttpResponse(f"{text}\n", content_type="text/plain", status=503 if failing else 200)
