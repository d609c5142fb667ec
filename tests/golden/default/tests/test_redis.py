"""How the settings treat Redis."""

from pathlib import Path

import pytest

from tests.production import PRODUCTION, python, show

VARIABLES = [name for name, value in PRODUCTION.items() if value.startswith("redis://")]


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", "redis://HOST:PORT/NUMBER"),
        ("amqp://host", "redis://HOST:PORT/NUMBER"),
        ("redis://host/queue", "redis://HOST:PORT/NUMBER"),
        ("redis://host:port/2", "is not a URL"),
    ],
)
def test_a_url_of_another_form_stops_the_start(
    bare: Path, variable: str, value: str, words: str
) -> None:
    result = python(bare, "manage.py", "check", **{variable: value})
    assert result.returncode == 1
    assert f'"{variable}"' in result.stderr
    assert words in result.stderr


def test_no_two_share_a_database(bare: Path) -> None:
    first, *others = VARIABLES
    for other in others:
        result = python(bare, "manage.py", "check", **{other: PRODUCTION[first]})
        assert "the same Redis database (localhost:6379/0)" in result.stderr


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_certificates_are_verified_where_a_url_asks_for_tls(bare: Path, scheme: str) -> None:
    urls = {name: PRODUCTION[name].replace("redis://", f"{scheme}://") for name in VARIABLES}
    wanted = {
        "CELERY_BROKER_URL": "BROKER_USE_SSL",
        "CELERY_RESULT_BACKEND": "REDIS_BACKEND_USE_SSL",
    }
    for variable in set(wanted) & set(VARIABLES):
        shown = show(bare, f"s.CELERY_{wanted[variable]}", **urls)
        assert ("CERT_REQUIRED" in shown) == (scheme == "rediss")
