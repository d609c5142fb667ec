"""Faults of brokers, and of the network before them."""

import re
import time
from typing import Any

from tests.baked import BakedProject
from tests.faults import numbers
from tests.faults.brokers import RedisBroker
from tests.faults.cells import Fault
from tests.faults.projects import QUEUE, refused
from tests.faults.scene import Scene

AWAY = 4  # seconds
FULL = numbers.SILENCE + AWAY  # seconds: whoever cannot say so is taken for dead meanwhile
BOTH = frozenset({"web", "workers"})
LATENCY = 0.1  # seconds, for each chunk in each direction
MEMORY = {
    "redis": ("maxmemory", "1"),
    "rabbitmq": ("set_vm_memory_high_watermark", "0.0000001"),
}


def restarted(scene: Scene) -> str:
    """As an operator does it."""
    workers = pids(scene)
    scene.broker.stop()
    time.sleep(AWAY)
    assert not scene.ready(), "the broker is not away"
    scene.broker.start()
    assert pids(scene) == workers, "a worker ended over it"
    return "stopped and started"


def killed(scene: Scene) -> str:
    """Without a warning."""
    workers = pids(scene)
    pid = scene.broker.kill()
    time.sleep(AWAY)
    assert not scene.ready(), "the broker is not away"
    scene.broker.start()
    assert pids(scene) == workers, "a worker ended over it"
    return f"{pid} killed and started again"


def pids(scene: Scene) -> list[int]:
    """Return the numbers of the workers' processes."""
    return [worker.pid for worker in scene.workers]


def cut_off(scene: Scene) -> str:
    """The network lets nobody through."""
    for proxy in scene.proxies.values():
        proxy.refuses = True
    cut = sum(proxy.cut() for proxy in scene.proxies.values())
    assert cut, "there was no connection to cut"
    time.sleep(2 * AWAY)
    for proxy in scene.proxies.values():
        proxy.refuses = False
    return f"{cut} connections cut"


def slow(scene: Scene) -> str:
    """Each chunk takes its time."""
    for proxy in scene.proxies.values():
        proxy.delay = LATENCY
    begun = time.monotonic()
    assert scene.ready(), "the web gave up"
    took = time.monotonic() - begun
    assert took > LATENCY, "nothing became slower"
    time.sleep(2 * AWAY)
    for proxy in scene.proxies.values():
        proxy.delay = 0
    return f"/readyz took {took:.1f} s"


def half_open(scene: Scene) -> str:
    """The other end is gone, and nobody has told."""
    silenced = sum(proxy.silence() for proxy in scene.proxies.values())
    assert silenced, "there was no connection to silence"
    time.sleep(AWAY)
    return f"{silenced} connections silenced"


def closed(scene: Scene) -> str:
    """By the server."""
    count = scene.broker.close_connections(scene.broker_url)
    assert count >= len(scene.workers), f"{count} connections closed"
    return f"{count} connections closed"


def deleted(scene: Scene) -> str:
    """Somebody deletes the queue, with what is in it."""
    scene.may_lose = scene.in_flight()
    count = scene.broker.delete(scene.broker_url, QUEUE)
    # It took a moment, in which more came in.
    scene.may_lose = max(scene.may_lose, scene.in_flight())
    return f"deleted with {count} messages"


def alarmed(scene: Scene) -> str:
    """The broker has no room left, and takes nothing."""
    workers = pids(scene)
    words = MEMORY[scene.broker.name]
    if isinstance(scene.broker, RedisBroker):
        scene.broker.configure(*words)
    else:
        scene.broker.control(*words)
    time.sleep(FULL)
    assert pids(scene) == workers, "a worker ended over it"
    accepted = len(scene.stream.accepted)
    if isinstance(scene.broker, RedisBroker):
        scene.broker.configure(words[0], "0")
    else:
        scene.broker.control(words[0], "0.4")
    return f"no room for {FULL:.0f} s; {accepted} accepted by then"


def forgotten(scene: Scene) -> str:
    """A Redis that keeps nothing on disk."""
    logs = [path for path in scene.folder.glob("worker*.log") if "appendonly" in path.read_text()]
    assert logs, "no worker says that this Redis loses what it has"
    scene.may_lose = scene.in_flight()
    pid = scene.broker.kill()
    scene.may_lose = max(scene.may_lose, scene.in_flight())
    scene.broker.start()
    return f"{pid} killed and started empty; workers had named the setting"


def too_short(project: BakedProject, environment: dict[str, str]) -> str:
    """Whoever sets it is told."""
    found = refused(project, environment, "python", "manage.py", "check")
    (code,) = re.findall(r"workers\.E004|workers\.E015", found)
    return f"refused by manage.py check: {code}"


# What the web has just sent, without an answer to it any more: the outbox sends it again.
UNANSWERED = numbers.CUSTOMERS
# Both workers lose their connection, and run on.
OUTAGE: dict[str, Any] = {"again": 2, "goes_on": True, "extra": UNANSWERED}
BROKER_FAULTS = [
    Fault("B1", "clean restart", restarted, **OUTAGE, away="broker"),
    Fault("B2", "KILL", killed, **OUTAGE, away="broker"),
    Fault("B3", "cut off", cut_off, **OUTAGE, away="broker", proxied=BOTH),
    Fault("B4", "latency", slow, proxied=BOTH, extra=4),
    Fault(
        "B5",
        "half-open connections",
        half_open,
        **OUTAGE,
        proxied=BOTH,
        patience=45,  # until either broker's connections are given up
    ),
    Fault("B6", "connections closed by the server", closed, **OUTAGE),
    Fault("B7", "queue deleted", deleted, again=2),
    # Whoever sends in vain tries again after a pause, and that twice; the broker has it all.
    Fault("B8", "no memory left", alarmed, again=2, goes_on=True, extra=2 * UNANSWERED),
    Fault(
        "B9",
        "KILL of a Redis that keeps nothing",
        forgotten,
        brokers=("redis",),
        reason="quorum queues are always on disk",
        again=2,
        forgetful=True,
    ),
    Fault(
        "B10",
        "visibility or consumer timeout below a task's length",
        refuse=too_short,
        settings={
            "CELERY_BROKER_TRANSPORT_OPTIONS": {"visibility_timeout": numbers.TASK},
            "CONSUMER_TIMEOUT": numbers.TASK,
        },
    ),
]
