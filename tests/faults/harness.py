"""Runs one cell: load, fault, proof, and what must hold afterwards."""

import json
import shutil
import time
import traceback
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path
from typing import Any

from tests.baked import BakedProject
from tests.faults import invariants, numbers
from tests.faults.brokers import UNACKED, RabbitBroker, RedisBroker
from tests.faults.cells import Cell
from tests.faults.invariants import Outcome
from tests.faults.ledger import Ledger
from tests.faults.programs import awaited, left_over, shown, terminated
from tests.faults.projects import Projects
from tests.faults.report import Row
from tests.faults.scene import Scene, scene
from tests.faults.servers import Servers
from tests.faults.verdicts import degraded


class Harness:
    """Runs cells, one at a time, on servers that they share."""

    def __init__(self, servers: Servers, projects: Projects, folder: Path, ids: int) -> None:
        self.servers = servers
        self.projects = projects
        self.folder = folder
        self.ids = ids
        self.rate = max(numbers.RATE, ids / numbers.LONGEST_LOAD)

    def run(self, cell: Cell, environment: Mapping[str, str] | None = None) -> Row:
        """Run a cell.

        environment: further variables, such as those that switch a mechanism off.
        """
        begun = time.monotonic()
        row = Row(cell.name, cell.fault.title)
        if cell.not_applicable:
            row.verdict, row.proof = "n/a", cell.not_applicable
            return row
        folder = self.folder / "cells" / cell.name
        shutil.rmtree(folder, ignore_errors=True)
        try:
            self._run(cell, folder, {**cell.fault.environment, **(environment or {})}, row)
        except Exception as error:
            row.problems.append(f"{type(error).__name__}: {error}")
            row.problems.append("given up half-way: it counts as lost what it has not waited for")
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "traceback.txt").write_text(traceback.format_exc())
            # Whatever state its broker is in, the next cell should not have to bear it.
            self.servers.forget(cell.broker)
        row.verdict = row.verdict or ("FAILED" if row.problems else "proven")
        row.seconds = round(time.monotonic() - begun, 1)
        return row

    def _run(self, cell: Cell, folder: Path, environment: Mapping[str, str], row: Row) -> None:
        fault = cell.fault
        project = self.projects.project(cell.broker, cell.pool, fault.answers)
        changed = json.loads(environment.get("FAULT_SETTINGS", "{}"))
        settings = json.dumps({**settings_of(cell), **changed})
        environment = {**environment, "FAULT_SETTINGS": settings}
        if fault.refuse:
            row.proof = fault.refuse(project, {**elsewhere(cell.broker), **environment})
            row.verdict = "refused"
            return
        with ExitStack() as stack:
            broker: RedisBroker | RabbitBroker
            if fault.forgetful:
                broker = stack.enter_context(self.servers.forgetful_redis())
            else:
                broker = self.servers.broker(cell.broker)
            running = stack.enter_context(self._scene(cell, project, broker, folder, environment))
            outcome = Outcome()
            try:
                self._load(cell, running, outcome)
            finally:
                running.stream.stop()
                with suppress(Exception):
                    self._note(cell, running, running.books.all(), outcome, row)
            ledger = self._end(cell, running, outcome)
            self._note(cell, running, ledger, outcome, row)
            row.problems += invariants.problems(cell, running, ledger, outcome, self.ids)
            if row.lost and not row.problems:
                row.verdict = f"degraded (at most {running.may_lose} lost)"

    def _scene(
        self,
        cell: Cell,
        project: BakedProject,
        broker: RedisBroker | RabbitBroker,
        folder: Path,
        environment: Mapping[str, str],
    ) -> AbstractContextManager[Scene]:
        return scene(
            cell.name.replace("-", "_").lower(),
            cell.pool,
            project,
            self.servers,
            broker,
            folder,
            processes=cell.fault.processes,
            environment=environment,
            proxied=cell.fault.proxied,
            patient=cell.fault.patient,
            twice=cell.fault.twice,
            bounced=cell.fault.bounced,
        )

    def _load(self, cell: Cell, running: Scene, outcome: Outcome) -> None:
        """Let the stream flow, break something in it, and wait until every id is final."""
        stream = running.stream
        stream.rate = self.rate
        stream.start()
        running.until(lambda: stream.placed >= 0.4 * self.ids, numbers.START, "the stream flows")
        running.rush()
        outcome.in_flight = running.in_flight()
        outcome.begun = time.monotonic()
        assert cell.fault.inject
        outcome.proof = cell.fault.inject(running)
        outcome.over = time.monotonic()
        running.until(
            lambda: (
                len(running.ledger().accepted) >= self.ids
                and time.monotonic() > outcome.over + numbers.AFTERWARDS
            ),
            numbers.START + self.ids / numbers.RATE,
            f"{self.ids} ids are accepted",
        )
        stream.stop()
        patience = numbers.REDELIVERY[cell.broker] + numbers.SETTLE + cell.fault.patience
        # What is lost for good never becomes final.
        quiet = numbers.REDELIVERY[cell.broker] if degraded(cell.name) else patience
        outcome.settled = invariants.settle(running, patience, quiet)
        outcome.steady = invariants.throughput_back(running, outcome.begun)

    def _end(self, cell: Cell, running: Scene, outcome: Outcome) -> Ledger:
        """Wait for what is handed out again though it is done, stop, and see what is left."""

        def drained() -> bool:
            left = running.broker.backlog(running.broker_url, running.queues)
            waits = any(left.get(name) for name in (*running.queues, UNACKED))
            return not waits and not running.ledger().outbox

        patience = numbers.REDELIVERY[cell.broker] + numbers.SETTLE + cell.fault.patience
        with suppress(AssertionError):
            awaited(drained, patience, "drained")
        awaited(running.ready, numbers.START, "/readyz says that all is well")
        running.enough()
        running.supervisor.stop()
        outcome.codes |= terminated([*running.workers, *running.beats], numbers.DRAIN + 10)
        outcome.codes |= terminated([running.web], 30)
        outcome.backlog = running.broker.backlog(running.broker_url, running.queues)
        with suppress(AssertionError):
            awaited(lambda: not left_over(running.name), 5, "no process is left")
        outcome.left_over = [shown(process) for process in left_over(running.name)]
        with suppress(AssertionError):
            awaited(lambda: not running.clients(), 5, "no session is left")
        outcome.sessions = running.clients()
        return running.books.all()

    def _note(self, cell: Cell, running: Scene, ledger: Ledger, outcome: Outcome, row: Row) -> None:
        row.proof = outcome.proof
        # For whoever wants to know why.
        (running.folder / "dead_letters.txt").write_text("\n\n".join(ledger.histories))
        (running.folder / "lost.txt").write_text("\n".join(sorted(ledger.open())))
        row.in_flight = outcome.in_flight
        row.accepted = len(ledger.accepted)
        row.completed = ledger.count("completed")
        row.failed, row.dead = ledger.count("failed"), ledger.count("dead")
        row.revoked = ledger.count("revoked")
        row.lost = len(ledger.open())
        row.doubled, row.mail_repeated = ledger.doubled, ledger.mail_repeated
        row.duplicates, row.bound = ledger.duplicates, invariants.bound(cell, running)
        row.recovery = round(outcome.recovery, 1)
        row.steady = None if outcome.steady is None else round(outcome.steady, 1)
        row.slowest = round(running.stream.slowest, 1)
        row.refused = len(running.stream.refused)


def settings_of(cell: Cell) -> dict[str, Any]:
    """Return the settings that a cell's project has beyond its own."""
    own = {"CELERY_BROKER_HEARTBEAT": numbers.HEARTBEAT} if cell.broker == "rabbitmq" else {}
    return {**own, **cell.fault.settings}


def elsewhere(broker: str) -> dict[str, str]:
    """Return an environment of servers that nobody asks."""
    redis = "redis://127.0.0.1:1"
    return {
        "DATABASE_URL": "postgresql://nobody:nothing@127.0.0.1:1/none",
        "CELERY_BROKER_URL": f"{redis}/0" if broker == "redis" else "amqp://127.0.0.1:1//",
        "CELERY_RESULT_BACKEND": f"{redis}/1",
        "CACHE_URL": f"{redis}/2",
        "DJANGO_SECRET_KEY": "0123456789" * 5,
        "DJANGO_ALLOWED_HOSTS": "127.0.0.1",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "EMAIL_URL": "console://",
    }
