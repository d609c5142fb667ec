"""The second app: points for customers, with one task that is written as the README says."""

from django.apps import AppConfig


class LoyaltyConfig(AppConfig):
    """The app of the points."""

    name = "loyalty"
