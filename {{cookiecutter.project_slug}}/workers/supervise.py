"""Runs several programs in the foreground under supervisord, and stops them in order."""

import os
import pwd
import shlex
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from config.limits import STOP_WAIT
from workers.worker import Worker

# supervisord starts groups in this order and stops them in the reverse one, each as a whole
# before the next: what others need goes last, and workers drain side by side.
GROUPS = ("backing", "workers", "front")


@dataclass(frozen=True)
class Program:
    """A program for supervisord.

    group: one of GROUPS.
    processes: how many of it; where it is more than one, each gets `--process NUMBER`.
    """

    name: str
    command: list[str]
    group: str
    processes: int = 1

    @property
    def command_line(self) -> str:
        """The command as supervisord reads it, which expands `%` and then splits like a shell."""
        line = shlex.join(self.command).replace("%", "%%")
        return line if self.processes == 1 else f"{line} --process %(process_num)d"


def workers(declared: Iterable[Worker]) -> list[Program]:
    """Return the programs of the declared workers; where a range is declared, its minimum."""
    return [
        Program(
            f"worker-{worker.name}",  # not its name alone, which another program may have
            [sys.executable, "-m", "workers.run", worker.name],
            "workers",
            worker.processes[0] if isinstance(worker.processes, tuple) else worker.processes,
        )
        for worker in declared
    ]


def configuration(programs: Sequence[Program]) -> str:
    """Return a configuration that passes every program's output on to its own."""
    sections = [
        "[supervisord]",
        "nodaemon = true",
        f"user = {pwd.getpwuid(os.geteuid()).pw_name}",
        "logfile = /dev/null",
        "logfile_maxbytes = 0",
        "loglevel = warn",
        "pidfile = %(here)s/supervisord.pid",
    ]
    for program in programs:
        sections += [
            "",
            f"[program:{program.name}]",
            f"command = {program.command_line}",
            "process_name = %(program_name)s-%(process_num)d",
            f"numprocs = {program.processes}",
            "numprocs_start = 1",
            "autorestart = true",
            # Sent to the group, it would kill prefork's children in mid-task.
            "stopsignal = TERM",
            "stopasgroup = false",
            "killasgroup = true",
            f"stopwaitsecs = {STOP_WAIT}",
            "redirect_stderr = true",
            "stdout_logfile = /dev/fd/1",
            "stdout_logfile_maxbytes = 0",
        ]
    for priority, group in enumerate(GROUPS, start=1):
        if members := [program.name for program in programs if program.group == group]:
            names = f"programs = {','.join(members)}"
            sections += ["", f"[group:{group}]", names, f"priority = {priority}"]
    return "\n".join(sections) + "\n"


def command(programs: Sequence[Program], folder: Path) -> list[str]:
    """Return a command, its configuration in a folder. Raises SystemExit without supervisord."""
    if find_spec("supervisor") is None:
        raise SystemExit("supervisord is not installed; `uv sync` brings it with the dev group.")
    file = folder / "supervisord.conf"
    file.write_text(configuration(programs))
    return [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(file)]


def become(programs: Sequence[Program]) -> None:
    """Replace this process by supervisord."""
    line = command(programs, Path(tempfile.mkdtemp(prefix="supervisord-")))
    os.execv(line[0], line)
