"""Customers who order and collect points all the time, over HTTP."""

import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.faults import numbers

ORDER = {"email": "a@example.com", "amount": "12.50"}
GRANTS = 2  # each so-many-th request is one for points, the others are orders
LONGEST = 60  # seconds that a customer goes on for with one request


@dataclass(frozen=True)
class Answer:
    """What one request came to.

    status: 0 where there was no answer.
    at, seconds: when it was sent, and how long it took.
    """

    status: int
    at: float
    seconds: float
    text: str = ""

    @property
    def accepted(self) -> bool:
        """Whether the service said that it has taken it on."""
        return self.status in (200, 201)


@dataclass
class Stream:
    """A steady stream of requests.

    patient: whether customers repeat, with its key, what was not accepted.
    twice: whether they send each request twice at once, as a client that retries too early.
    """

    url: str
    patient: bool = True
    twice: bool = False
    rate: float = numbers.RATE
    accepted: list[str] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    placed: int = 0
    _due: float = 0.0
    _client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=LONGEST))
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _enough: threading.Event = field(default_factory=threading.Event)
    _customers: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Let the customers in."""
        self._due = time.monotonic()
        self._customers = [
            threading.Thread(target=self._go_on, daemon=True) for _ in range(numbers.CUSTOMERS)
        ]
        for customer in self._customers:
            customer.start()

    def stop(self) -> None:
        """Let no further request begin, and wait for those under way."""
        self._enough.set()
        for customer in self._customers:
            customer.join()
        self._client.close()

    @property
    def refused(self) -> list[Answer]:
        """What was not accepted."""
        return [answer for answer in self.answers if not answer.accepted]

    @property
    def slowest(self) -> float:
        """How long the slowest answer took. Seconds."""
        return max((answer.seconds for answer in self.answers), default=0.0)

    def grant(self, way: str = "", grant_id: str = "") -> tuple[Answer, str]:
        """Ask for points, in one of the ways of mishaps/views.py where it is named."""
        grant_id = grant_id or str(uuid.uuid4())
        path = f"/api/mishaps/{way}/" if way else "/api/grants/"
        return self._send(path, {"id": grant_id}, {}), grant_id

    def _go_on(self) -> None:
        while True:
            with self._lock:
                number, self.placed = self.placed, self.placed + 1
                # What could not be kept up with is not made up for.
                self._due = due = max(self._due + 1 / self.rate, time.monotonic() - 1)
            if self._enough.wait(max(0.0, due - time.monotonic())):
                return
            self._ask(number)

    def _ask(self, number: int) -> None:
        key = str(uuid.uuid4())
        if number % GRANTS:
            path, body, headers = "/api/orders/", ORDER, {"Idempotency-Key": key}
        else:
            path, body, headers = "/api/grants/", {"id": key}, {}
        end = time.monotonic() + LONGEST
        while True:
            if self.twice:
                second = threading.Thread(target=self._send, args=(path, body, headers))
                second.start()
            answer = self._send(path, body, headers)
            if self.twice:
                second.join()
            if answer.accepted or not self.patient or time.monotonic() > end:
                return
            time.sleep(0.3)

    def _send(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> Answer:
        begun = time.monotonic()
        try:
            response = self._client.post(f"{self.url}{path}", json=body, headers=headers)
        except httpx.TransportError as error:
            answer = Answer(0, begun, time.monotonic() - begun, repr(error))
        else:
            answer = Answer(
                response.status_code, begun, time.monotonic() - begun, response.text[:300]
            )
        with self._lock:
            self.answers.append(answer)
            if answer.accepted:
                self.accepted.append(response.json()["id"])
        return answer
