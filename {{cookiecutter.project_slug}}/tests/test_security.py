"""What browsers are told, and who is let in, with the settings of a production."""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import URLPattern, URLResolver
from django.urls.resolvers import RoutePattern

from tests.production import python

HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "Strict-Transport-Security": "max-age=3600; includeSubDomains; preload",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
POLICY = {
    "default-src 'self'",
    "object-src 'none'",
    "base-uri 'self'",
    "frame-ancestors 'none'",
    "form-action 'self'",
}

# Sessions in a cookie, because no database is there.
ASK = """if 1:
    import json
    import django
    django.setup()
    from django.conf import settings
    from django.http import HttpResponse
    from django.test import Client
    from django.urls import path
    from config.urls import urlpatterns

    def remember(request):
        request.session["seen"] = True
        return HttpResponse()

    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    urlpatterns += [path("broken/", lambda request: 1 / 0), path("remember/", remember)]

    def told(address, host="example.com", secure=True):
        client = Client(raise_request_exception=False, headers={"host": host})
        answer = client.get(address, secure=secure)
        cookies = {name: dict(cookie) for name, cookie in answer.cookies.items()}
        return {"status": answer.status_code, "headers": dict(answer.headers), "cookies": cookies}

    print(json.dumps({
        "a page": told("/admin/login/"),
        "the admin": told("/admin/"),
        "a page that is not there": told("/nowhere/"),
        "a page that fails": told("/broken/"),
        "a foreign host": told("/admin/login/", host="example.org"),
        "no TLS": told("/admin/login/", secure=False),
        "a session": told("/remember/"),
    }))
"""


@pytest.fixture(scope="module")
def answers(bare: Path) -> dict[str, Any]:
    """What the web answers in production, by what it was asked for."""
    result = python(bare, "-c", ASK, DJANGO_SETTINGS_MODULE="config.settings")
    assert result.returncode == 0, result.stderr
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def test_the_deployment_check_is_clean(bare: Path) -> None:
    result = python(bare, "manage.py", "check", "--deploy", "--fail-level", "WARNING")
    assert result.returncode == 0, result.stderr
    assert "no issues (0 silenced)" in result.stdout


@pytest.mark.parametrize(
    ("what", "status"),
    [
        ("a page", 200),
        ("the admin", 302),
        ("a page that is not there", 404),
        ("a page that fails", 500),
    ],
)
def test_every_answer_has_the_headers(answers: dict[str, Any], what: str, status: int) -> None:
    headers = answers[what]["headers"]
    assert answers[what]["status"] == status
    assert {name: headers.get(name) for name in HEADERS} == HEADERS
    assert set(headers["Content-Security-Policy"].split("; ")) == POLICY


@pytest.mark.parametrize(("what", "status"), [("a foreign host", 400), ("no TLS", 301)])
def test_a_request_that_is_turned_away_has_the_policy(
    answers: dict[str, Any], what: str, status: int
) -> None:
    assert answers[what]["status"] == status
    assert set(answers[what]["headers"]["Content-Security-Policy"].split("; ")) == POLICY


def test_without_tls_one_is_sent_to_the_same_page_with_it(answers: dict[str, Any]) -> None:
    assert answers["no TLS"]["headers"]["Location"] == "https://example.com/admin/login/"


def test_cookies_travel_with_tls_alone_and_not_with_what_other_sites_send(
    answers: dict[str, Any],
) -> None:
    csrf = answers["a page"]["cookies"]["csrftoken"]
    session = answers["a session"]["cookies"]["sessionid"]
    assert [(c["secure"], c["samesite"]) for c in (csrf, session)] == [(True, "Lax")] * 2
    assert session["httponly"] is True


def pages(patterns: Iterable[URLPattern | URLResolver], prefix: str = "/admin/") -> Iterator[str]:
    """Yield the path of each page, with 1 for whatever it asks for."""
    for pattern in patterns:
        path = prefix + re.sub(r"<[^>]+>", "1", str(pattern.pattern))
        if isinstance(pattern, URLResolver):
            yield from pages(pattern.url_patterns, path)
        elif isinstance(pattern.pattern, RoutePattern):
            yield path


@pytest.mark.django_db(databases="__all__")
@pytest.mark.parametrize("name", [None, "somebody"])
def test_the_admin_is_closed_to_all_but_staff(client: Client, name: str | None) -> None:
    if name:
        client.force_login(get_user_model().objects.create_user(name))
    found = set(pages(admin.site.get_urls())) - {"/admin/login/", "/admin/logout/"}
    assert len(found) > len(admin.site._registry)
    answers = {path: client.get(path) for path in found}
    to_login = {
        path
        for path, answer in answers.items()
        if answer.status_code == 302 and answer["Location"].startswith("/admin/login/?next=")
    }
    assert found - to_login == set()
