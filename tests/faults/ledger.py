"""What has happened, as rows, charges and mail say that no process under test could take back."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg

MESSAGE_ID = re.compile(rb"^Message-ID: <([0-9a-f-]{36})@orders>", re.MULTILINE)
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass
class Ledger:
    """The books of one cell.

    orders: the state of each, by id.
    entries: how often each grant was booked.
    letters: the reasons of dead letters that nobody has settled, by each id that they name.
    histories: what each of them says.
    calls: how many calls asked for each charge.
    mails: how many receipts there are of each order.
    starts: how often each delivery of a task has begun, by the task's id and its attempt.
    revoked: ids that the test has revoked.
    """

    orders: dict[str, str] = field(default_factory=dict)
    grants: set[str] = field(default_factory=set)
    entries: Counter[str] = field(default_factory=Counter)
    letters: dict[str, set[str]] = field(default_factory=dict)
    nameless_letters: Counter[str] = field(default_factory=Counter)
    histories: list[str] = field(default_factory=list)
    outbox: int = 0
    calls: dict[str, int] = field(default_factory=dict)
    mails: Counter[str] = field(default_factory=Counter)
    starts: Counter[tuple[str, str]] = field(default_factory=Counter)
    poisoned: Counter[str] = field(default_factory=Counter)
    revoked: set[str] = field(default_factory=set)

    @property
    def accepted(self) -> set[str]:
        """Every id whose row is committed."""
        return self.orders.keys() | self.grants

    def states(self, key: str) -> set[str]:
        """Return the final states of an id: exactly one, once everything is over."""
        found = {"dead" if reason != "failed" else reason for reason in self.letters.get(key, ())}
        state = self.orders.get(key)
        # An order fails because its task was parked.
        if state == "completed" or (state == "failed" and "dead" not in found):
            found.add(state)
        if self.entries[key]:
            found.add("completed")
        if key in self.revoked and not found:
            found.add("revoked")
        return found

    def open(self) -> set[str]:
        """Return the ids that have no final state."""
        return {key for key in self.accepted if not self.states(key)}

    def count(self, state: str) -> int:
        """Return how many ids are in a final state, and in no other one."""
        return sum(self.states(key) == {state} for key in self.accepted)

    @property
    def contradictory(self) -> list[str]:
        """The ids with more than one final state."""
        return [key for key in self.accepted if len(self.states(key)) > 1]

    @property
    def doubled(self) -> int:
        """How many effects are there more than once."""
        return sum(times - 1 for times in self.entries.values())

    @property
    def mail_repeated(self) -> int:
        """How many receipts were sent again."""
        return sum(times - 1 for times in self.mails.values())

    @property
    def duplicates(self) -> int:
        """How many deliveries began that had begun before."""
        return sum(times - 1 for times in self.starts.values())

    @property
    def unaccepted_effects(self) -> set[str]:
        """Ids with an effect and without a row: of a transaction that was rolled back."""
        return (self.entries.keys() | self.calls.keys() | self.mails.keys()) - self.accepted


ROWS = {
    "orders": "SELECT id::text, state FROM orders_order",
    "grants": "SELECT id::text FROM loyalty_grant",
    "entries": "SELECT grant_id::text, count(*) FROM loyalty_entry GROUP BY 1",
    "letters": (
        "SELECT reason, task_id || ' ' || body, history FROM workers_deadletter "
        "WHERE state = 'waiting'"
    ),
    "outbox": "SELECT count(*) FROM workers_outboxmessage",
}


class Books:
    """Reads the ledger of a running cell."""

    def __init__(self, database: str, payments: str, folder: Path) -> None:
        self.database = database
        self.payments = payments
        self.folder = folder
        self.revoked: set[str] = set()

    def rows(self) -> Ledger:
        """Return what the database says. Raises psycopg.OperationalError where it is away."""
        with psycopg.connect(self.database, autocommit=True, connect_timeout=5) as connection:
            found = {
                name: connection.execute(ask.encode()).fetchall() for name, ask in ROWS.items()
            }
        ledger = Ledger(
            orders={str(key): str(state) for key, state in found["orders"]},
            grants={str(key) for (key,) in found["grants"]},
            entries=Counter({str(key): int(times) for key, times in found["entries"]}),
            outbox=int(found["outbox"][0][0]),
            revoked=self.revoked,
        )
        for reason, text, history in found["letters"]:
            keys = set(UUID.findall(str(text))) & ledger.accepted
            for key in keys:
                ledger.letters.setdefault(key, set()).add(str(reason))
            if not keys:
                ledger.nameless_letters[str(reason)] += 1
            ledger.histories.append(f"{reason}: {text}\n{history}")
        return ledger

    def all(self) -> Ledger:
        """Return everything."""
        ledger = self.rows()
        charges: dict[str, dict[str, Any]] = httpx.get(f"{self.payments}/charges").json()
        ledger.calls = {key: int(charge["calls"]) for key, charge in charges.items()}
        for file in (self.folder / "mail").iterdir():
            ledger.mails.update(key.decode() for key in MESSAGE_ID.findall(file.read_bytes()))
        ledger.starts.update((words[0], words[1]) for words in self.lines("starts"))
        ledger.poisoned.update(words[0] for words in self.lines("poisoned"))
        return ledger

    def lines(self, name: str) -> Iterable[list[str]]:
        """Return the words of each line that processes have noted under a name."""
        file = self.folder / name
        return [line.split() for line in file.read_text().splitlines()] if file.exists() else []
