"""What probes are told."""

from urllib.parse import urlsplit

import pytest
from celery import current_app
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client

from dev import ports

ALIASES = [
    "default",
]
PROBES = ["/healthz", "/readyz"]


def told(client: Client, path: str) -> tuple[int, str]:
    """Return what a probe gets, which names a host of its own and speaks no TLS."""
    answer = client.get(path, headers={"host": "10.0.0.1:8000"})
    return answer.status_code, answer.content.decode()


@pytest.mark.django_db(databases=ALIASES)
@pytest.mark.parametrize("path", PROBES)
def test_a_probe_gets_its_answer_from_any_host(client: Client, path: str) -> None:
    assert told(client, path) == (200, "ok\n")


@pytest.mark.django_db(databases=ALIASES)
def test_a_migration_that_was_not_applied_is_named(client: Client) -> None:
    MigrationRecorder(connection).record_unapplied("accounts", "0001_initial")
    assert told(client, "/readyz") == (503, "migrations of default\n")
    assert told(client, "/healthz") == (200, "ok\n")


@pytest.mark.django_db(databases=ALIASES)
def test_a_broker_that_is_away_is_named(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    away = urlsplit(current_app.conf.broker_url)._replace(netloc=f"127.0.0.1:{ports.free_port()}")
    monkeypatch.setattr(current_app.conf, "broker_write_url", away.geturl())
    assert told(client, "/readyz") == (503, "broker\n")
    assert told(client, "/healthz") == (200, "ok\n")
