"""The people who may log in."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """The app of the user model."""

    name = "accounts"
