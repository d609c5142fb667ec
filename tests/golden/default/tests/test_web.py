"""The pages that every project has."""

from django.test import Client
from django.utils.html import escape
from pytest_django import Settings


def test_the_admin_asks_who_is_there_and_says_whose_it_is(
    client: Client, settings: Settings
) -> None:
    page = client.get("/admin/login/").content.decode()
    assert "csrfmiddlewaretoken" in page
    assert escape(settings.SERVICE_NAME) in page
