"""What delivery remembers in the database, so that no task is lost and no effect happens twice."""

from django.db import models


class OutboxMessage(models.Model):
    """A task that was accepted, and of which no broker has said yet that it has it.

    Written in the transaction of whatever the task is about, and gone once it is sent.
    """

    task_id = models.CharField(max_length=255)
    task = models.CharField(max_length=255)
    body = models.TextField(help_text="Arguments and options, as JSON of kombu's.")
    accepted_at = models.DateTimeField(auto_now_add=True)
    next_try_at = models.DateTimeField(db_index=True)
    failure = models.TextField(blank=True)

    class Meta:
        constraints = [
            # Somebody who chooses ids may give the same to tasks of different kinds.
            models.UniqueConstraint(fields=["task_id", "task"], name="one_row_for_each_task")
        ]

    def __str__(self) -> str:
        return f"{self.task} {self.task_id}"


class Start(models.Model):
    """A start of a task whose message had been handed out before; gone once the task has ended."""

    task_id = models.CharField(max_length=255, db_index=True)
    worker = models.CharField(max_length=255)
    started_at = models.DateTimeField(auto_now_add=True, db_index=True)

    def __str__(self) -> str:
        return f"{self.task_id} on {self.worker}"


class DeadLetter(models.Model):
    """A task that could not succeed, with all that it takes to send it again."""

    class Reason(models.TextChoices):
        """Why it is here."""

        FAILED = "failed", "it failed, and is not tried again"
        POISON = "poison", "it never came to an end"
        RETURNED = "returned", "it came back to the broker too often"
        UNKNOWN = "unknown", "no worker knows its task"
        MALFORMED = "malformed", "it cannot be read"
        UNSENT = "unsent", "no broker has taken it"

    class State(models.TextChoices):
        """What became of it."""

        WAITING = "waiting"
        SENT = "sent", "sent again"
        DISCARDED = "discarded"

    task_id = models.CharField(max_length=255, blank=True, db_index=True)
    task = models.CharField(max_length=255, blank=True)
    queue = models.CharField(max_length=255, blank=True)
    reason = models.CharField(max_length=10, choices=Reason)
    body = models.TextField(help_text="Arguments and options, or the message as it came.")
    history = models.TextField(blank=True, help_text="What happened: a traceback, the starts.")
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    parked_at = models.DateTimeField(auto_now_add=True, db_index=True)
    settled_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["-parked_at"]

    def __str__(self) -> str:
        return f"{self.task or 'a message'} {self.task_id}".strip()


class Effect(models.Model):
    """Something that must happen once, and has."""

    key = models.CharField(max_length=255, primary_key=True)
    happened_at = models.DateTimeField(auto_now_add=True, db_index=True)

    def __str__(self) -> str:
        return self.key
