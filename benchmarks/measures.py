"""What is measured: one table, and one class for each way of measuring."""

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, median, quantiles

from benchmarks import rendering
from benchmarks.figures import (
    CPU,
    FAILED,
    LOST,
    MEMORY,
    OPENED,
    P50,
    P99,
    PEAK,
    SECONDS,
    START,
    THROUGHPUT,
    Figure,
    Round,
    Target,
)
from benchmarks.sites import Site, Sites
from benchmarks.variants import (
    BARE_CONFIRMED,
    BARE_EARLY,
    BARE_EVENTS,
    BARE_LATE,
    BARE_QUORUM,
    FLEETS,
    OURS,
    POOLS,
    STOCK,
    STOCK_DELIVERY,
    Variant,
)
from benchmarks.workers import NOT_ACKNOWLEDGED, POLL, RAISED, Fleet, fleets

MIB = 1024 * 1024
EMPTY = "bench.tasks.empty"
SELECT = "bench.queries.select"
WAIT = "bench.queries.wait"
# After the last task, so long may acknowledgements take before they count as lost. Seconds.
LATEST_ACKNOWLEDGEMENT = 3
# Connections that a worker of ours opens beside its tasks while it is up for half a minute at most: two
# chores every ten seconds, and one an hour.
CHORES = 8


@dataclass(frozen=True, kw_only=True)
class Measure(ABC):
    """Something to measure, on some variants, against some targets.

    figures: the first one is drawn.
    """

    name: str
    title: str
    variants: tuple[Variant, ...]
    figures: tuple[Figure, ...]
    targets: tuple[Target, ...] = ()

    @abstractmethod
    def round(self, sites: Sites, variants: Sequence[Variant], share: float) -> Round:
        """Measure the variants once, in this order.

        share: of the usual load, from 0 to 1.
        """


@dataclass(frozen=True, kw_only=True)
class Drain(Measure):
    """How fast workers drain a queue: from all tasks queued at once to the last one acknowledged.

    task: of the variants with Django; Celery alone has nothing to query and runs the empty one.
    """

    task: str
    pool: str
    tasks: int
    warm_up: int = 100  # tasks for each worker
    figures: tuple[Figure, ...] = (THROUGHPUT, CPU, PEAK, OPENED, LOST, FAILED)

    def round(self, sites: Sites, variants: Sequence[Variant], share: float) -> Round:
        """Start every variant's workers, and have one after the other drain its queue."""
        tasks, warm_up = int(self.tasks * share), int(self.warm_up * share)
        chosen = [sites.site(variant) for variant in variants]
        opened = {}
        for site in chosen:
            most = max(tasks, warm_up * site.variant.workers)
            site.stock_up(self._task(site), self.pool, most)
            opened[site.database] = sites.servers.opened(site.database) if site.database else 0
        results = {}
        with fleets(chosen, self.pool) as running:
            for fleet in running:
                fleet.wait_until_ready()
            for fleet in running:
                results[fleet.site.variant.name] = self._drain(sites, fleet, tasks, warm_up)
        for site in chosen:
            if site.database:
                while sites.servers.connected(site.database):
                    time.sleep(POLL)
                since = sites.servers.opened(site.database) - opened[site.database]
                results[site.variant.name][OPENED.name] = since
        return results

    def _task(self, site: Site) -> str:
        return EMPTY if site.variant.project == "bare" else self.task

    def _drain(self, sites: Sites, fleet: Fleet, tasks: int, warm_up: int) -> dict[str, float]:
        site = fleet.site
        peak = 0

        def watch() -> None:
            # Asked for Celery alone as well, since the question takes its share of the machine.
            nonlocal peak
            peak = max(peak, sites.servers.connected(site.database or ""))

        def run(times: int) -> float:
            """Return the seconds that so many tasks take."""
            before = fleet.completed
            site.enqueue(self._task(site), self.pool, times)
            start = time.perf_counter()
            fleet.wait_for_tasks(before + times, watch)
            end = time.perf_counter()
            deadline = end + LATEST_ACKNOWLEDGEMENT
            while site.unacknowledged() and time.perf_counter() < deadline:
                time.sleep(POLL)
            # Where some are lost, waiting for them is not part of the work.
            return (end if site.unacknowledged() else time.perf_counter()) - start

        run(warm_up * site.variant.workers)
        failed, used = fleet.count(RAISED), fleet.cpu()
        seconds = run(tasks)
        lost = max(site.unacknowledged(), fleet.count(NOT_ACKNOWLEDGED))
        figures = {
            THROUGHPUT.name: tasks / seconds,
            CPU.name: (fleet.cpu() - used) / tasks * 1000,
            LOST.name: lost,
            FAILED.name: fleet.count(RAISED) - failed,
        }
        return figures | ({PEAK.name: peak} if site.database else {})


@dataclass(frozen=True, kw_only=True)
class ChildMemory(Measure):
    """What one more child of prefork costs: its private memory, after it has worked."""

    task: str = SELECT
    tasks: int = 200
    figures: tuple[Figure, ...] = (MEMORY,)

    def round(self, sites: Sites, variants: Sequence[Variant], share: float) -> Round:
        """Have every variant's worker do its tasks, and weigh its children."""
        chosen = [sites.site(variant) for variant in variants]
        for site in chosen:
            site.stock_up(self.task, "prefork", self.tasks)
        results = {}
        with fleets(chosen, "prefork") as running:
            for fleet in running:
                fleet.wait_until_ready()
                fleet.site.enqueue(self.task, "prefork", self.tasks)
                fleet.wait_for_tasks(self.tasks)
                private = [child.memory_full_info().uss for child in fleet.children()]
                results[fleet.site.variant.name] = {MEMORY.name: mean(private) / MIB}
        return results


@dataclass(frozen=True, kw_only=True)
class FirstTask(Measure):
    """How long it takes from starting a worker's command to the effect of a task that waits."""

    pool: str
    figures: tuple[Figure, ...] = (START,)

    def round(self, sites: Sites, variants: Sequence[Variant], share: float) -> Round:
        """Start one worker after the other, each alone."""
        return {
            variant.name: {START.name: self._start(sites, sites.site(variant))}
            for variant in variants
        }

    def _start(self, sites: Sites, site: Site) -> float:
        site.stock_up("bench.tasks.mark", self.pool, 1)
        site.enqueue("bench.tasks.mark", self.pool, 1)
        sites.marks.delete("mark")
        start = time.perf_counter()
        fleet = Fleet(site, self.pool)
        try:
            fleet.wait_for(lambda: bool(sites.marks.exists("mark")))
            return time.perf_counter() - start
        finally:
            fleet.kill()


@dataclass(frozen=True, kw_only=True)
class Delay(Measure):
    """How long `.delay()` keeps its caller."""

    broker: str
    calls: int
    figures: tuple[Figure, ...] = (P50, P99)

    def round(self, sites: Sites, variants: Sequence[Variant], share: float) -> Round:
        """Send from a process of each variant; nobody consumes."""
        results = {}
        for variant in variants:
            site = sites.site(variant, self.broker)
            output = site.run("bench.delay", EMPTY, str(int(self.calls * share)))
            microseconds = [nanoseconds / 1000 for nanoseconds in json.loads(output)]
            results[variant.name] = {
                P50.name: median(microseconds),
                P99.name: quantiles(microseconds, n=100)[98],
            }
            if self.broker == "redis":
                site.clear()
        return results


@dataclass(frozen=True, kw_only=True)
class Rendering(Measure):
    """How long the whole cookiecutter command takes."""

    figures: tuple[Figure, ...] = (SECONDS,)

    def round(self, sites: Sites, variants: Sequence[Variant], share: float) -> Round:
        """Render the default project."""
        return {variant.name: {SECONDS.name: rendering.once()} for variant in variants}


ALL: tuple[Measure, ...] = (
    Drain(
        name="select",
        title="One SELECT per task: prefork with 2 children",
        task=SELECT,
        pool="prefork",
        tasks=1000,
        variants=(OURS, STOCK, STOCK_DELIVERY, BARE_LATE),
        targets=(
            Target(THROUGHPUT, 5, STOCK.name),
            Target(THROUGHPUT, 0.8, BARE_LATE.name),
            Target(OPENED, 2 * POOLS["prefork"] + CHORES),
        ),
    ),
    Drain(
        name="empty",
        title="A task that does nothing: prefork with 2 children",
        task=EMPTY,
        pool="prefork",
        tasks=1500,
        variants=(OURS, STOCK, STOCK_DELIVERY, BARE_EARLY, BARE_LATE, BARE_EVENTS),
        targets=(
            Target(THROUGHPUT, 0.95, BARE_LATE.name),
            Target(THROUGHPUT, 0.95, BARE_EVENTS.name),
            Target(OPENED, 2 * POOLS["prefork"] + CHORES),
        ),
    ),
    Drain(
        name="wait",
        title="Two SELECTs around 50 ms of waiting: gevent with 100 greenlets",
        task=WAIT,
        pool="gevent",
        tasks=500,
        variants=(OURS, STOCK, STOCK_DELIVERY),
        targets=(
            Target(THROUGHPUT, 3, STOCK.name),
            Target(LOST, 0),
            Target(OPENED, 2 * POOLS["gevent"] + CHORES),
        ),
    ),
    ChildMemory(
        name="memory",
        title="Private memory of one more prefork child, after 200 tasks",
        variants=(OURS, STOCK, STOCK_DELIVERY),
        targets=(Target(MEMORY, 0.5, STOCK.name),),
    ),
    Delay(
        name="delay-redis",
        title="`.delay()`, Redis",
        broker="redis",
        calls=2000,
        variants=(OURS, STOCK, BARE_LATE, BARE_EVENTS),
        targets=(Target(P50, 1.1, BARE_LATE.name), Target(P99, 1.1, BARE_LATE.name)),
    ),
    Delay(
        name="delay-rabbitmq",
        title="`.delay()`, RabbitMQ with confirms",
        broker="rabbitmq",
        calls=500,
        variants=(OURS, BARE_CONFIRMED, BARE_QUORUM),
        targets=(Target(P50, 1.1, BARE_QUORUM.name), Target(P99, 1.1, BARE_QUORUM.name)),
    ),
    *(
        FirstTask(
            name=f"start-{pool}",
            title=f"From starting a worker to its first task: {pool}",
            pool=pool,
            variants=(OURS, STOCK),
            targets=(Target(START, 1.2, STOCK.name),),
        )
        for pool in POOLS
    ),
    Drain(
        # Waiting fills the slots long before it fills two cores, so that slots are what a worker
        # more adds. One gevent worker alone keeps a core busy: a second would measure the cores.
        name="scale",
        title="1, 2 and 4 workers: prefork with 2 children each, two SELECTs around 50 ms of waiting",
        task=WAIT,
        pool="prefork",
        tasks=120,
        warm_up=20,
        variants=FLEETS,
        targets=(
            Target(THROUGHPUT, 1.6, FLEETS[0].name, of=FLEETS[1].name),
            *(
                Target(OPENED, (2 * POOLS["prefork"] + CHORES) * fleet.workers, of=fleet.name)
                for fleet in FLEETS
            ),
        ),
    ),
    Rendering(
        name="rendering",
        title="Rendering the default project: the whole command",
        variants=(OURS,),
    ),
)
