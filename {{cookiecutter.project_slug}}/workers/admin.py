"""Dead letters in the admin: to be looked at, sent again, or discarded."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from workers import replay
from workers.models import DeadLetter


@admin.register(DeadLetter)
class DeadLetterAdmin(admin.ModelAdmin):
    """Dead letters, newest first. Nobody writes one, or changes one but by the actions."""

    list_display = ["id", "task", "task_id", "reason", "state", "queue", "parked_at"]
    list_filter = ["state", "reason", "task"]
    search_fields = ["task_id", "task"]
    readonly_fields = [field.name for field in DeadLetter._meta.fields]
    actions = ["send_again", "discard"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Only what failed is here."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: DeadLetter | None = None) -> bool:
        """What is settled goes by itself (workers/retention.py)."""
        return False

    @admin.action(description="Send again", permissions=["change"])
    def send_again(self, request: HttpRequest, letters: QuerySet[DeadLetter]) -> None:
        """Send the tasks of the selected letters again."""
        self._each(request, letters, replay.send_again, "sent again")

    @admin.action(description="Discard", permissions=["change"])
    def discard(self, request: HttpRequest, letters: QuerySet[DeadLetter]) -> None:
        """Give the selected letters up."""
        self._each(request, letters, replay.discard, "discarded")

    def _each(
        self,
        request: HttpRequest,
        letters: QuerySet[DeadLetter],
        act: Callable[[DeadLetter], Any],
        done: str,
    ) -> None:
        count = 0
        for letter in letters:
            try:
                act(letter)
                count += 1
            except replay.NotDoneError as error:
                self.message_user(request, str(error), messages.ERROR)
        if count:
            self.message_user(request, f"{count} {done}.", messages.SUCCESS)
