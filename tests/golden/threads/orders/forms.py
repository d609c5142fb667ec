"""What an order must look like, for the page and for the API."""

from decimal import Decimal

from django import forms


class OrderForm(forms.Form):
    """An order as somebody asks for it."""

    email = forms.EmailField(max_length=254)
    amount = forms.DecimalField(min_value=Decimal("0.01"), max_digits=10, decimal_places=2)


class IdempotencyForm(forms.Form):
    """The optional Idempotency-Key of a request."""

    idempotency_key = forms.CharField(max_length=255, required=False, empty_value=None)
