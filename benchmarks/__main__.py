"""Measures what was rendered against plain Django and Celery, and Celery alone.

make bench                        everything, into benchmarks/results/
make bench ARGS="select empty"    these measures alone, into build/bench/
make bench ARGS=--quick           one short round, to see that it works
"""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks import report
from benchmarks.figures import Round
from benchmarks.measures import ALL, Measure
from benchmarks.servers import Servers
from benchmarks.sites import Sites
from tests.baked import TEMPLATE

ROUNDS = 5
QUICK = 0.1  # the share of the usual load in a quick round


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and write the report."""
    known = {measure.name: measure for measure in ALL}
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("measures", nargs="*", metavar="MEASURE", help=f"any of {', '.join(known)}")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"default: {ROUNDS}")
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--results", type=Path, help="the folder for the report")
    options = parser.parse_args(argv)
    if unknown := set(options.measures) - set(known):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    if options.rounds < 1:
        parser.error("--rounds: at least 1")

    chosen = [known[name] for name in dict.fromkeys(options.measures)] or list(ALL)
    rounds = 1 if options.quick else options.rounds
    # What is committed comes from whole runs alone.
    whole = not options.measures and rounds >= ROUNDS
    results = options.results or TEMPLATE / ("benchmarks/results" if whole else "build/bench")

    # Ended from outside, a run still ends what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Ended."))
    start = time.monotonic()
    with ExitStack() as stack:
        # Resolved, because workers' own working folders would not match a symbolic link.
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        machine = report.machine()
        print(f"{machine}\nRendering the project and starting servers …", flush=True)
        servers = Servers(stack)
        sites = Sites(servers, Path(folder).resolve())
        measured = {
            measure.name: _measure(measure, sites, rounds, QUICK if options.quick else 1)
            for measure in chosen
        }
        versions = sites.versions() | servers.started
    minutes = (time.monotonic() - start) / 60
    written = report.write(results, chosen, measured, machine, versions, minutes)
    print(f"\n{report.summary(chosen, measured)}\n\nWrote {written.resolve()}")


def _measure(measure: Measure, sites: Sites, rounds: int, share: float) -> list[Round]:
    print(f"\n{measure.name}: {measure.title}", flush=True)
    found: list[Round] = []
    start = time.monotonic()
    for number in range(rounds):
        # Each round starts with another variant, so that none always meets a warmer machine.
        turn = number % len(measure.variants)
        variants = [*measure.variants[turn:], *measure.variants[:turn]]
        found.append(measure.round(sites, variants, share))
        first = measure.figures[0]
        shown = "  ".join(
            f"{variant.name} {found[-1][variant.name][first.name]:.{first.digits}f}"
            for variant in measure.variants
        )
        print(
            f"  {time.monotonic() - start:4.0f} s  round {number + 1} of {rounds}, "
            f"{first.name}: {shown}",
            flush=True,
        )
    return found


if __name__ == "__main__":
    main()
