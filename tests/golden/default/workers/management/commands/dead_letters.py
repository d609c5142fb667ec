"""Lists dead letters, sends them again, or discards them."""

from argparse import ArgumentParser
from collections.abc import Iterable
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from workers import replay
from workers.models import DeadLetter

Reason, State = DeadLetter.Reason, DeadLetter.State


class Command(BaseCommand):
    """The command `dead_letters`."""

    help = __doc__ or ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add an action: list, replay or discard."""
        actions = parser.add_subparsers(dest="action", required=True)
        shown = actions.add_parser("list", help="show them, newest first")
        shown.add_argument("--state", choices=State.values, default=State.WAITING.value)
        replay = actions.add_parser("replay", help="send their tasks again")
        which = replay.add_mutually_exclusive_group(required=True)
        which.add_argument("ids", nargs="*", type=int, metavar="ID", default=[])
        which.add_argument("--all", action="store_true", help="every letter that waits")
        discarded = actions.add_parser("discard", help="give them up")
        discarded.add_argument("ids", nargs="+", type=int, metavar="ID")
        for each in (shown, replay):
            each.add_argument("--reason", choices=Reason.values)

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        """Do it to each letter. Raises CommandError with those that it cannot be done to."""
        if action == "list":
            self._list(options["state"], options["reason"])
            return
        act, done = {
            "replay": (replay.send_again, "sent again"),
            "discard": (replay.discard, "discarded"),
        }[action]
        refused = []
        for letter in self._chosen(**options):
            try:
                act(letter)
                self.stdout.write(f"{letter.pk}  {letter}: {done}")
            except replay.NotDoneError as error:
                refused.append(str(error))
        if refused:
            raise CommandError("\n".join(refused))

    def _list(self, state: str, reason: str | None) -> None:
        letters = DeadLetter.objects.filter(state=state)
        if reason:
            letters = letters.filter(reason=reason)
        for letter in letters.defer("body", "history").iterator(chunk_size=1000):
            parked = f"{letter.parked_at:%F %T}"
            self.stdout.write(f"{letter.pk}  {parked}  {letter.state}  {letter.reason}  {letter}")

    def _chosen(
        self, ids: list[int], reason: str | None = None, **options: Any
    ) -> Iterable[DeadLetter]:
        if not ids:
            waiting = DeadLetter.objects.filter(state=State.WAITING).order_by("parked_at")
            yield from waiting.filter(reason=reason) if reason else waiting
        for number in ids:
            # One that is not there has its answer as well.
            yield DeadLetter.objects.filter(pk=number).first() or DeadLetter(pk=number, task="?")
