"""The report of a run: Markdown and a plot for people, JSON for programs."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl
import psutil
from matplotlib.figure import Figure as Plot

from benchmarks.figures import Figure, Round
from benchmarks.measures import Measure

Measured = Mapping[str, list[Round]]


def machine() -> str:
    """Return what the run happens on, without its name."""
    cores = len(os.sched_getaffinity(0))
    memory = psutil.virtual_memory().total / 2**30
    load = psutil.getloadavg()[0]
    system = f"{platform.system()} {platform.machine()}"
    return f"{cores} cores, {memory:.0f} GiB, {system}; load before the start {load:.1f}"


def values(rounds: list[Round], variant: str, figure: Figure) -> list[float]:
    """Return a figure of each round, or nothing where the variant has none."""
    return [each[variant][figure.name] for each in rounds if figure.name in each[variant]]


def cell(found: list[float], digits: int) -> str:
    """Return a median with its range, as the table shows it."""
    if not found:
        return "–"
    low, middle, high = (
        f"{value:,.{digits}f}" for value in (min(found), median(found), max(found))
    )
    return middle if low == high else f"{middle} ({low}–{high})"


def summary(measures: Sequence[Measure], measured: Measured) -> str:
    """Return the table of all targets."""
    lines = ["| measure | target | measured | |", "|---|---|---|---|"]
    for measure in measures:
        rounds = measured[measure.name]
        for target in measure.targets:
            reached = f"{target.reached(rounds):.3g}" + (" ×" if target.than else "")
            mark = "✓" if target.holds(rounds) else "✗ missed"
            lines.append(f"| {measure.name} | {target} | {reached} | {mark} |")
    return "\n".join(lines)


def table(measure: Measure, rounds: list[Round]) -> str:
    """Return the table of one measure: a row for each variant."""
    names = [figure.name for figure in measure.figures]
    lines = [f"| variant | {' | '.join(names)} |", f"|---|{'---:|' * len(names)}"]
    for variant in measure.variants:
        cells = [
            cell(values(rounds, variant.name, figure), figure.digits) for figure in measure.figures
        ]
        lines.append(f"| {variant.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def write(
    folder: Path,
    measures: Sequence[Measure],
    measured: Measured,
    machine: str,
    versions: Mapping[str, str],
    minutes: float,
) -> Path:
    """Write the report to a folder and return the path of its page."""
    folder.mkdir(parents=True, exist_ok=True)
    number = max(map(len, measured.values()))
    ran_on = ", ".join(f"{name} {version}" for name, version in versions.items())
    sections = [
        "# Benchmarks",
        f"Medians of {number} rounds, with the lowest and the highest round; docs/benchmarks.md says how "
        "each is measured.",
        f"On {machine}. {ran_on}. The run took {minutes:.0f} minutes.",
        "## Targets",
        summary(measures, measured),
        "## Figures",
        "![The first figure of each measure](results.png)",
    ]
    for measure in measures:
        sections += [
            f"### {measure.name}",
            f"{measure.title}.",
            table(measure, measured[measure.name]),
        ]
    page = folder / "results.md"
    page.write_text("\n\n".join(sections) + "\n")
    data: dict[str, Any] = {
        "machine": machine,
        "versions": dict(versions),
        "minutes": round(minutes, 1),
        "measures": {
            measure.name: {
                "title": measure.title,
                "rounds": measured[measure.name],
                "targets": [
                    {
                        "target": str(target),
                        "bound": target.bound,
                        "reached": target.reached(measured[measure.name]),
                        "holds": target.holds(measured[measure.name]),
                    }
                    for target in measure.targets
                ],
            }
            for measure in measures
        },
    }
    (folder / "results.json").write_text(json.dumps(data, indent=1) + "\n")
    plot(folder / "results.png", measures, measured)
    return page


def plot(path: Path, measures: Sequence[Measure], measured: Measured) -> None:
    """Draw the first figure of each measure: the median as a bar, the rounds as dots."""
    columns = min(3, len(measures))
    rows = -(-len(measures) // columns)
    with mpl.rc_context({"font.size": 8, "axes.spines.top": False, "axes.spines.right": False}):
        drawing = Plot(figsize=(5 * columns, 2.2 * rows), layout="constrained")
        for place, measure in enumerate(measures, start=1):
            axes = drawing.add_subplot(rows, columns, place)
            figure = measure.figures[0]
            names = [variant.name for variant in measure.variants]
            found = [values(measured[measure.name], name, figure) for name in names]
            colours = ["#2a6f97" if name.startswith("ours") else "#b0b7bf" for name in names]
            axes.barh(names, [median(each) for each in found], color=colours, height=0.6)
            for name, each in zip(names, found, strict=True):
                axes.plot(each, [name] * len(each), ".", color="black", markersize=3)
            axes.invert_yaxis()
            axes.set_title(measure.name, loc="left", fontweight="bold")
            axes.set_xlabel(f"{figure.name} ({'more' if figure.more else 'less'} is better)")
        drawing.savefig(path, dpi=110)
