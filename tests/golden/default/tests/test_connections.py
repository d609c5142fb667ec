"""How many connections to the databases there may be, and how many the server allows."""

from io import StringIO

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import connections
from pytest_django import Settings

from config.queues import WORKERS
from workers import capacity, connection_checks
from workers.worker import Worker

pytestmark = pytest.mark.django_db(databases="__all__")


def test_the_server_allows_what_the_declaration_may_open() -> None:
    assert run_checks(databases=list(connections)) == []


def test_more_than_the_server_allows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity, "WORKERS", [*WORKERS, Worker("large", processes=100_000)])
    monkeypatch.setattr(connection_checks, "limit", lambda alias: 100)
    (error,) = run_checks(databases=["default"])
    assert "This deployment may open" in error.msg
    assert "shrink 'large'" in str(error.hint)


def test_sizes_that_cannot_work_are_refused(settings: Settings) -> None:
    settings.DATABASE_POOL_SIZE = 0
    settings.DATABASE_MAX_AGE = -1
    assert {found.id for found in run_checks()} == {"workers.E007", "workers.E008"}


def test_the_command_shows_every_worker() -> None:
    output = StringIO()
    call_command("connection_budget", stdout=output)
    shown = {line.split()[0] for line in output.getvalue().splitlines() if line}
    assert shown >= {*connections, *(worker.name for worker in WORKERS), "web", "all"}
