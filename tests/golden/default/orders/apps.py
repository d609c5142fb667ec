"""The example: an order is placed, charged, invoiced, and its receipt sent."""

from django.apps import AppConfig


class OrdersConfig(AppConfig):
    """The app of the orders."""

    name = "orders"
