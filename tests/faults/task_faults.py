"""Faults of tasks and messages."""

import json
import time
import uuid

from celery import Celery

from tests.faults import numbers
from tests.faults.cells import Fault
from tests.faults.projects import QUEUE
from tests.faults.scene import Scene
from tests.faults.worker_faults import died_of, gone

POISONS = 2
TIMES = 5
RETRIES = 2
COUNTDOWN = 3  # of mishaps/views.py. Seconds
TASK = "loyalty.tasks.book_points"


def poisoned(scene: Scene) -> str:
    """Whoever works on it dies; it ends after a few starts, and others go on."""
    keys = [scene.poison() for _ in range(POISONS)]
    for key in keys:
        answer, _ = scene.stream.grant(grant_id=key)
        assert answer.accepted, answer
    scene.until(
        lambda: all(
            scene.ledger().letters.get(key) or starts(scene, key) > numbers.POISON_STARTS
            for key in keys
        ),
        numbers.POISON_STARTS * POISONS * numbers.REDELIVERY[scene.broker.name] + numbers.SETTLE,
        "the poison is parked",
    )
    counts = [starts(scene, key) for key in keys]
    scene.gone = sum(counts)
    assert max(counts) <= numbers.POISON_STARTS, f"started {counts} times"
    assert all(counts), "the poison was never started"
    ledger = scene.ledger()
    assert {frozenset(ledger.states(key)) for key in keys} == {frozenset({"dead"})}
    assert ledger.count("dead") == POISONS, "a neighbour was parked"
    return f"started {counts} times, then parked"


def starts(scene: Scene, key: str) -> int:
    """Return how often the task of an id has begun, as its own body notes."""
    return sum(words[0] == key for words in scene.books.lines("poisoned"))


def undecodable(scene: Scene) -> str:
    """Parked, and no reason for a worker to stop."""
    for _ in range(TIMES):
        _put(scene, "{", TASK)
        if scene.broker.name == "redis":
            scene.broker.put(scene.broker_url, QUEUE, "neither JSON nor an envelope")
    wanted = TIMES * (2 if scene.broker.name == "redis" else 1)
    scene.until(
        # What Redis has set aside, keepers park each half minute.
        lambda: scene.ledger().nameless_letters["malformed"] >= wanted,
        60,
        "they are parked",
    )
    return f"{wanted} parked as malformed"


def unknown(scene: Scene) -> str:
    """Of a version that is not here, or not here any more."""
    for _ in range(TIMES):
        _put(scene, json.dumps([[], {}, {}]), "nobody.knows.this")
    scene.until(lambda: scene.ledger().nameless_letters["unknown"] >= TIMES, 30, "they are parked")
    return f"{TIMES} parked as unknown"


def exhausted(scene: Scene) -> str:
    """The payment service is away for longer than anybody tries."""
    scene.behave(status=503)
    scene.until(lambda: scene.ledger().count("failed") >= TIMES, 60, "orders have failed")
    scene.behave(delay=numbers.PAYMENT[scene.pool])
    return "the payment service answered 503 until orders had failed"


def revoked(scene: Scene) -> str:
    """Before it begins; on prefork in its middle as well."""
    with Celery(broker=scene.broker_url, set_as_current=False) as app:
        for _ in range(TIMES):
            answer, key = scene.stream.grant("named-later")
            assert answer.accepted, answer
            app.control.revoke(key)
            scene.books.revoked.add(key)
        if scene.pool == "prefork":
            scene.arm("stall-in-book")
            scene.fired("stall-in-book")
            _, key, pid = list(scene.books.lines("mishaps"))[-1]
            task = next(words[0] for words in scene.books.lines("starts") if words[3] == key)
            app.control.revoke(task, terminate=True, signal="SIGKILL")
            scene.books.revoked.add(key)
            gone(int(pid))
    time.sleep(2 * COUNTDOWN)
    ledger = scene.ledger()
    ended = [ledger.states(key) for key in scene.books.revoked]
    assert all(states == {"revoked"} for states in ended), ended
    return f"{len(ended)} revoked"


def member_lost(scene: Scene) -> str:
    """A chord ends all the same."""
    scene.arm("die-in-member")
    for _ in range(2 * TIMES):
        answer, _ = scene.stream.grant("chord")
        assert answer.accepted, answer
    return f"{died_of(scene, 'die-in-member')} died in a member"


def too_large(scene: Scene) -> str:
    """Refused where it is sent, with the size and the limit; so is what is no JSON."""
    for way in ("oversized", "not-json"):
        for _ in range(TIMES):
            answer, _ = scene.stream.grant(way)
            assert answer.status == 409, f"{way}: {answer}"
    return f"refused: {answer.text[:80]}"


def _put(scene: Scene, body: str, task: str) -> None:
    key = str(uuid.uuid4())
    scene.broker.put(
        scene.broker_url,
        QUEUE,
        body,
        content_type="application/json",
        content_encoding="utf-8",
        headers={"task": task, "id": key, "lang": "py"},
        correlation_id=key,
    )


TASK_FAULTS = [
    Fault("T1", "poison", poisoned, may_fail=True),
    Fault("T2", "undecodable message", undecodable, extra=4),
    Fault("T3", "unknown task", unknown, extra=4),
    Fault(
        "T4",
        "retries exhausted",
        exhausted,
        may_fail=True,
        extra=4,
        environment={"FAULT_RETRIES": str(RETRIES)},
    ),
    Fault("T5", "revoked before and during", revoked, extra=4),
    Fault("T6", "a member of a chord lost", member_lost, again=1),
    Fault("T7", "payload too large", too_large),
]
