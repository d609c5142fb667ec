"""An order, its invoice, and which task of which worker did what to it."""

import uuid

from django.db import models


class Order(models.Model):
    """What somebody asked for. Whoever knows its UUID may see it."""

    class State(models.TextChoices):
        """Where an order is. It only ever moves down this list, or to FAILED."""

        PLACED = "placed"
        CHARGED = "charged"
        INVOICED = "invoiced"
        COMPLETED = "completed"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.EmailField()
    amount = models.DecimalField(max_digits=10, decimal_places=2)
    # The database itself keeps a repeated request from placing a second order.
    idempotency_key = models.CharField(max_length=255, unique=True, null=True, editable=False)
    state = models.CharField(max_length=10, choices=State, default=State.PLACED)
    charge_id = models.CharField(max_length=64, blank=True)
    # Why it failed; or, where it is in another state, why it does not go on.
    failure = models.CharField(max_length=200, blank=True)
    placed_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-placed_at"]

    def __str__(self) -> str:
        return f"{self.id} ({self.state})"

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in (self.State.COMPLETED, self.State.FAILED)


class Invoice(models.Model):
    """The document of a charged order, sealed so that a later change shows."""

    order = models.OneToOneField(Order, on_delete=models.CASCADE)
    document = models.TextField()
    seal = models.CharField(max_length=64)

    def __str__(self) -> str:
        return f"Invoice of {self.order_id}"


class Job(models.Model):
    """Which task, on which worker and queue, brought an order to a state."""

    # Not a foreign key: jobs are a log, which may live in another database than the orders.
    order_id = models.UUIDField()
    state = models.CharField(max_length=10, choices=Order.State)
    task = models.CharField(max_length=100)
    task_id = models.CharField(max_length=64)
    worker = models.CharField(max_length=255)
    queue = models.CharField(max_length=100)
    done_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["done_at"]
        constraints = [
            models.UniqueConstraint(fields=["order_id", "state"], name="one_job_a_state")
        ]

    def __str__(self) -> str:
        return f"{self.order_id} {self.state} by {self.worker}"
