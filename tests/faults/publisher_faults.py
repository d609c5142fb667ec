"""Faults of whoever publishes: the web."""

import time
from collections import Counter

from tests.faults import numbers
from tests.faults.broker_faults import AWAY, UNANSWERED
from tests.faults.cells import Fault
from tests.faults.scene import Scene
from tests.faults.worker_faults import died_of

TIMES = 20
WEB = frozenset({"web"})


def without_a_broker(scene: Scene) -> str:
    """Requests succeed all the same, in bounded time."""
    proxy = scene.proxies["web"]
    before = len(scene.stream.accepted)
    proxy.refuses = True
    proxy.cut()
    time.sleep(2 * AWAY)
    assert not scene.ready(), "the broker is not away"
    accepted = len(scene.stream.accepted) - before
    proxy.refuses = False
    time.sleep(1)
    refused = scene.stream.refused
    assert not refused, f"{len(refused)} requests refused: {refused[0]}"
    assert accepted, "nothing was accepted meanwhile"
    slowest = scene.stream.slowest
    assert slowest < numbers.BOUNDED_REQUEST, f"a request took {slowest:.0f} s"
    return f"{accepted} accepted meanwhile, within {slowest:.1f} s"


def died_before_the_publish(scene: Scene) -> str:
    """Between the commit and the publish, for each of both apps."""
    pids = []
    for task in ("loyalty.tasks.book_points", "orders.tasks.process_order"):
        scene.arm(f"die-before-{task}")
        pids.append(str(died_of(scene, f"die-before-{task}")))
        scene.until(scene.ready, numbers.START, "the web is back")
    keys = [words[1] for words in scene.books.lines("mishaps")]
    accepted = scene.ledger().accepted
    assert all(key in accepted for key in keys), "killed before the commit"
    return f"died before the publish: {', '.join(pids)}"


def rolled_back(scene: Scene) -> str:
    """After the task was sent."""
    keys = []
    for _ in range(TIMES):
        answer, key = scene.stream.grant("rolled-back")
        assert answer.status == 409, answer
        keys.append(key)
    time.sleep(2)
    begun = {words[3] for words in scene.books.lines("starts")}
    assert not begun & set(keys), "tasks of what was rolled back have begun"
    return f"{TIMES} rolled back"


def told_time_out(scene: Scene) -> str:
    """The broker has the message, and its answer does not arrive."""
    proxy = scene.proxies["web"]
    before = scene.stream.placed
    proxy.mute = True
    time.sleep(numbers.PUBLISH_TIMEOUT + 3)
    proxy.mute = False
    cut = proxy.cut()
    # Sent again by the client of the broker, by the outbox, and by the customer.
    scene.extra = 3 * (scene.stream.placed - before + numbers.CUSTOMERS)
    return f"answers swallowed on {cut} connections"


def unroutable(scene: Scene) -> str:
    """Refused, or parked: never accepted and forgotten."""
    statuses = Counter(scene.stream.grant("unroutable")[0].status for _ in range(TIMES))
    assert set(statuses) <= {201, 409}, statuses
    return f"answers: {dict(statuses)}"


def twice(scene: Scene) -> str:
    """Each order is placed once."""
    time.sleep(AWAY)
    answered = Counter(scene.stream.accepted)
    assert sum(times > 1 for times in answered.values()) > numbers.IN_FLIGHT
    return f"{sum(times > 1 for times in answered.values())} ids answered twice"


PUBLISHER_FAULTS = [
    Fault(
        "P1",
        "broker down at publish",
        without_a_broker,
        away="broker",
        patient=False,
        extra=UNANSWERED,
        proxied=WEB,
    ),
    Fault(
        "P2",
        "dies after commit, before publish",
        died_before_the_publish,
        patient=False,
        web_stays=False,
        # At each of both deaths, every other request of that process may have published, and not
        # yet deleted its row.
        extra=2 * (numbers.CUSTOMERS - 1),
    ),
    Fault("P3", "rollback after the call", rolled_back),
    Fault("P4", "published, but told time-out", told_time_out, proxied=WEB, away="broker"),
    Fault("P5", "unroutable queue", unroutable, may_fail=True),
    Fault("P6", "the same request twice", twice, twice=True),
]
