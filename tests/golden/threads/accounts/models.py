"""A user model of our own, empty so far, because it cannot be swapped in later."""

from django.contrib.auth.models import AbstractUser


class User(AbstractUser):
    """Somebody who may log in."""
