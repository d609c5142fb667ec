"""The pools of Celery, and what each of them offers. Standard library only."""

from dataclasses import dataclass

LARGEST = 10_000  # tasks at once; beyond this a typo is likelier than a plan


@dataclass(frozen=True)
class Pool:
    """What a pool of Celery's offers.

    concurrency: how many tasks at once where nobody says otherwise.
    autoscale: whether `--autoscale` works on it (`threads` dies of it, `solo` ignores it).
    package: what must be installed for it, beyond Celery.
    largest: how many tasks at once it can carry.
    forks: whether each task runs in a child process.
    greenlets: whether each task runs in a greenlet of its own, which ends with it.
    """

    concurrency: int
    autoscale: bool
    package: str | None = None
    largest: int = LARGEST
    forks: bool = False
    greenlets: bool = False


# Fixed numbers, never the CPU count: in a container that is the host's.
POOLS = {
    "prefork": Pool(concurrency=4, autoscale=True, forks=True),
    "gevent": Pool(concurrency=100, autoscale=True, package="gevent", greenlets=True),
    "threads": Pool(concurrency=20, autoscale=False),
    "eventlet": Pool(concurrency=100, autoscale=True, package="eventlet", greenlets=True),
    "solo": Pool(concurrency=1, autoscale=False, largest=1),
}


def offers(name: str) -> Pool:
    """Return what a pool offers; one that is none of Celery's is taken for threads."""
    return POOLS.get(name, POOLS["threads"])
