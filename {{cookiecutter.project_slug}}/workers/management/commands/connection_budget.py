"""Shows how many connections this deployment may open to each database, and who opens them."""

from typing import Any

from django.core.management.base import BaseCommand
from django.db import Error, connections

from workers.capacity import UnknownLimitError, limit, shares


class Command(BaseCommand):
    """The command `connection_budget`."""

    help = __doc__ or ""

    def handle(self, *args: Any, **options: Any) -> None:
        """Print a table for each database."""
        for alias in connections:
            taken = shares(alias)
            rows = [
                (share.name, f"{share.processes}", f"{share.each}", f"{share.most}", share.how)
                for share in taken
            ]
            head = ("process", "processes", "each", "most", "connections")
            total = ("all", "", "", f"{sum(share.most for share in taken)}", allowed(alias))
            table = [head, *rows, total]
            widths = [max(map(len, column)) for column in zip(*table, strict=True)]
            self.stdout.write(f"\n{alias}\n")
            for row in table:
                self.stdout.write("  ".join(map(str.ljust, row, widths)).rstrip())


def allowed(alias: str) -> str:
    """Return in words what a server allows."""
    try:
        number = limit(alias)
    except (UnknownLimitError, Error) as error:
        return f"the server does not say what it allows: {str(error).strip()}"
    return "of as many as you like" if number is None else f"of {number} that the server allows"
