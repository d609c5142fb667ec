"""What was granted, and what was booked of it."""

from django.db import models


class Grant(models.Model):
    """Points that somebody was promised: accepted once this row is committed."""

    id = models.UUIDField(primary_key=True)
    points = models.PositiveIntegerField()


class Entry(models.Model):
    """A line of the account, append-only. Nothing in the table keeps a second one out."""

    grant_id = models.UUIDField(db_index=True)
    points = models.PositiveIntegerField()
    booked_at = models.DateTimeField(auto_now_add=True)
