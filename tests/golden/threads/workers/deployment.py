"""System checks that hold the files of the deployment to config/, whose names and numbers they repeat."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.checks import CheckMessage, Error, register

from config import deployment, limits
from config.queues import WORKERS
from workers.worker import Worker

ROOT = Path(__file__).resolve().parents[1]


@register("workers")
def check_deployment(**kwargs: Any) -> list[CheckMessage]:
    """Refuse a deployment that leaves a worker out, runs one that is none, or kills it too early."""
    if os.environ.get("WORKER_NAME"):
        return []  # no reason for what is there not to start
    places = [
        *((file, _line(line)) for file, line in deployment.LINES.items()),
        *((file, _workers(entry)) for file, entry in deployment.WORKERS.items()),
    ]
    return [
        Error(f"{file} {reason}.", remedy, id=f"workers.E0{number}")
        for file, differences in places
        if (ROOT / file).exists()  # an image holds none of them
        for number, reason, remedy in differences((ROOT / file).read_text())
    ]


def _line(line: str) -> Any:
    def differences(text: str) -> Iterator[tuple[int, str, str]]:
        if f"\n{line}\n" not in text:
            yield 10, f"lacks the line `{line.strip()}`", f"Write:\n\n{line}"

    return differences


def _workers(entry: str) -> Any:
    def differences(text: str) -> Iterator[tuple[int, str, str]]:
        for worker in WORKERS:
            lines = _filled(entry, worker)
            remedy = "Write:\n\n" + "\n".join(lines)
            found = _entry(lines[0], text)
            if found is None:
                reason = f"leaves out the worker {worker.name!r}: nobody would take its tasks"
                yield 11, reason, remedy
            elif missing := [line.strip() for line in lines if line not in found]:
                yield 12, f"lacks `{missing[0]}` for the worker {worker.name!r}", remedy
        head = re.escape(entry.partition("\n")[0]).replace(r"\{name\}", "([a-z0-9_]+)")
        for name in re.findall(f"^{head}$", text, re.MULTILINE):
            if name not in {worker.name for worker in WORKERS}:
                reason = f"runs the worker {name!r}, which config/queues.py does not declare"
                yield 13, reason, "Remove its entry there, or declare it."

    return differences


def _filled(entry: str, worker: Worker) -> list[str]:
    bounds = worker.processes
    least, most = bounds if isinstance(bounds, tuple) else (bounds, bounds)
    # Those of a range are started by whoever scales them.
    fixed = str(least == most).lower()
    filled = entry.format(
        name=worker.name, least=least, most=most, fixed=fixed, stop_wait=limits.STOP_WAIT
    )
    return filled.splitlines()


def _entry(head: str, text: str) -> list[str] | None:
    """Return the lines of an entry, or None: as far as one that is indented no more, or a [section]."""
    _, found, after = f"\n{text}".partition(f"\n{head}\n")
    if not found:
        return None
    indent = len(head) - len(head.lstrip())
    end = r"\[" if head.startswith("[") else " ?" * indent + r"[^ #\n]"
    return [head, *re.split(rf"^{end}", after, maxsplit=1, flags=re.MULTILINE)[0].splitlines()]
