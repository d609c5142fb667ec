"""Breaks a rendered project in every way of the table while orders come in, and counts.

make faults                                    each fault once per broker, the pools taking turns
make faults ARGS="W4 B2-redis W12-redis-solo"  these cells alone: a fault, its broker, its pool
make faults-controls                           each mechanism switched off: its cell must fail
make faults-full                               more orders, on every pool; its rows are kept
make faults ARGS=--fresh                       from the start, and not from where a run has ended
"""

import argparse
import fcntl
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.baked import TEMPLATE
from tests.faults import numbers, report
from tests.faults.broker_faults import BROKER_FAULTS
from tests.faults.cells import Cell, full, once_per_broker
from tests.faults.controls import CONTROLS
from tests.faults.database_faults import DATABASE_FAULTS
from tests.faults.deploy_faults import DEPLOY_FAULTS
from tests.faults.harness import Harness
from tests.faults.projects import Projects, environment
from tests.faults.publisher_faults import PUBLISHER_FAULTS
from tests.faults.report import Results, Row, table
from tests.faults.schedule_faults import SCHEDULE_FAULTS
from tests.faults.servers import Servers
from tests.faults.task_faults import TASK_FAULTS
from tests.faults.verdicts import NOT_YET
from tests.faults.worker_faults import WORKER_FAULTS

FAULTS = [
    *WORKER_FAULTS,
    *BROKER_FAULTS,
    *PUBLISHER_FAULTS,
    *DATABASE_FAULTS,
    *TASK_FAULTS,
    *SCHEDULE_FAULTS,
    *DEPLOY_FAULTS,
]
BY_CODE = {fault.code: fault for fault in FAULTS}
FOLDER = TEMPLATE / "build" / "faults"
# Of the full run, which takes longer than a sitting: committed, and shown on these pages.
FULL = Path(__file__).with_name("full.jsonl")
PAGE, README = TEMPLATE / "docs" / "faults.md", TEMPLATE / "README.md"


def main(argv: Sequence[str] | None = None) -> int:
    """Run cells; return 0 where each is as it must be, 1 otherwise."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("cells", nargs="*", metavar="CELL")
    parser.add_argument("--controls", action="store_true", help="mechanisms switched off")
    parser.add_argument("--full", action="store_true", help="every pool")
    parser.add_argument("--fresh", action="store_true", help="forget what an earlier run found")
    parser.add_argument("--ids", type=int, help="accepted ids in each cell, at the least")
    options = parser.parse_args(argv)

    cells = full(FAULTS) if options.full else once_per_broker(FAULTS)
    if options.controls:
        cells = [control.cell(BY_CODE) for control in CONTROLS]
    if options.cells:
        everything = [*full(FAULTS), *_all(), *(control.cell(BY_CODE) for control in CONTROLS)]
        cells = _named(options.cells, cells, everything, parser)
    ids = options.ids or (numbers.IDS_FULL if options.full else numbers.IDS)
    kind = "controls" if options.controls else "results"
    results = Results(FULL if options.full else FOLDER / f"{kind}.jsonl")
    if options.fresh:
        results.file.unlink(missing_ok=True)
    # Ended from outside, a run still ends what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Ended."))
    try:
        rows = run(cells, results, ids, again=bool(options.cells))
    finally:
        if options.full:
            show(results)
    shown = table(rows)
    print(f"\n{shown}")
    failed = [row for row in rows if not row.good]
    print(f"\n{len(rows)} cells, {len(failed)} failed; not yet: {'; '.join(not_yet())}")
    return 1 if failed else 0


def show(results: Results) -> None:
    """Write what the full run has found so far into the pages."""
    for page, shown in pages(results).items():
        report.write(page, shown)


def pages(results: Results) -> dict[Path, str]:
    """Return what the pages show of the full run."""
    known, cells = results.rows(), full(FAULTS)
    rows = [known[cell.name] for cell in cells if cell.name in known]
    said = report.so_far(rows, len(cells))
    return {PAGE: f"{said}\n\n{table(rows)}", README: f"{said}\n\n{report.summary(rows)}"}


def run(
    cells: Sequence[Cell], results: Results, ids: int, *, again: bool, folder: Path = FOLDER
) -> list[Row]:
    """Run what has no row yet, and return the rows of all.

    again: whether cells run that have one.
    folder: what servers, projects and logs go into.
    """
    controls = {control.cell(BY_CODE).name: control for control in CONTROLS}
    known = {} if again else results.rows()
    found = [known[cell.name] for cell in cells if cell.name in known and known[cell.name].good]
    left = [cell for cell in cells if cell.name not in {row.cell for row in found}]
    if not left:
        return found
    with ExitStack() as stack:
        stack.enter_context(_alone(folder))
        servers = Servers(stack, _emptied(folder / "servers"))
        projects = Projects(_emptied(folder / "projects"), environment(FOLDER))
        harness = Harness(servers, projects, folder, ids)
        begun = time.monotonic()
        for number, cell in enumerate(left):
            print(
                f"{time.monotonic() - begun:5.0f} s  {len(cells) - len(left) + number} done, "
                f"{len(left) - number} left  {cell.name}: {cell.fault.title} … ",
                end="",
                flush=True,
            )
            control = controls.get(cell.name)
            commit = report.commit()
            row = harness.run(cell, control.environment if control else None)
            if control:
                control.judge(row)
            row.commit = commit
            results.add(row)
            found.append(row)
            print("; ".join([row.verdict, *row.problems]), f"({row.seconds:.0f} s)", flush=True)
    order = [cell.name for cell in cells]
    return sorted(found, key=lambda row: order.index(row.cell))


def not_yet() -> list[str]:
    """Return the faults of the matrix that no cell has, with the reason."""
    return [f"{code} ({why})" for code, why in NOT_YET.items()]


def _all() -> list[Cell]:
    return [
        Cell(c.fault, c.broker, pool) for c in once_per_broker(FAULTS) for pool in c.fault.pools
    ]


def _named(
    wanted: Sequence[str],
    cells: Sequence[Cell],
    everything: Sequence[Cell],
    parser: argparse.ArgumentParser,
) -> list[Cell]:
    found: list[Cell] = []
    for word in wanted:
        # A fault means its turn; a cell that has none in this run is run when it is named.
        meant = [cell for cell in cells if cell.matches(word)]
        meant = meant or [cell for cell in everything if cell.matches(word)]
        if not meant:
            codes = ", ".join(fault.code for fault in FAULTS)
            parser.error(
                f"no cell is called {word!r}; there are {codes}, as W4, W4-redis, W4-redis-solo"
            )
        found += meant
    return list(dict.fromkeys(found))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep others out of a folder. Raises SystemExit where somebody is in it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f"Another run is at work in {folder}; wait for its end.") from None
        yield


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


if __name__ == "__main__":
    sys.exit(main())
