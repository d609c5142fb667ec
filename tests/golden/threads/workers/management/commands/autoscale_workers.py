"""Starts and stops processes of workers under supervisord, by what waits for them."""

import logging
import os
import re
import signal
import socket
import sys
import time
from dataclasses import replace
from http.client import HTTPException
from typing import Any
from xmlrpc import client as xmlrpc

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error, connections
from kombu.exceptions import OperationalError
from supervisor.xmlrpc import SupervisorTransport

from config.queues import WORKERS
from workers.autoscale import Scale
from workers.backlog import read
from workers.headroom import excess
from workers.worker import Worker

logger = logging.getLogger(__name__)

# The states of supervisord in which a process takes tasks, or will in a moment,
WORKING = ("STARTING", "RUNNING")
# in which it has connections to databases, be it only to finish its tasks,
UP = (*WORKING, "STOPPING", "BACKOFF")
# in which it may be started,
STARTABLE = ("STOPPED", "EXITED")
# and in which somebody has to look at it.
FAILING = ("BACKOFF", "FATAL", "UNKNOWN")


class Command(BaseCommand):
    """The command `autoscale_workers`, for workers with a range of processes in config/queues.py."""

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options."""
        once = "look once; only several looks in a row ever stop a process"
        parser.add_argument("--once", action="store_true", help=once)
        parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
        interval = "seconds from one look to the next (5); each pause is a number of looks"
        parser.add_argument("--interval", type=float, default=5, help=interval)
        url = os.environ.get("SUPERVISOR_SERVER_URL", "")
        parser.add_argument("--server", default=url, help="supervisord's socket: unix:///PATH")

    def handle(self, *args: Any, **options: Any) -> None:
        """Look and act until TERM. Raises CommandError where that cannot work."""
        self.server, interval = options["server"], options["interval"]
        self.rehearsed = " (dry run)" if options["dry_run"] else ""
        if not self.server.startswith("unix://"):
            raise CommandError(
                f"--server {self.server!r} is no socket of supervisord's. Run this under supervisord, "
                "or name the file of its [unix_http_server]: --server unix:///PATH."
            )
        if not interval > 0:
            raise CommandError(f"--interval {interval} is no pause: use seconds above 0.")
        self.said: dict[str, object] = {}
        self.scales = {
            worker.name: Scale(*worker.processes, worker.most, interval)
            for worker in WORKERS
            if isinstance(worker.processes, tuple)
        }
        socket.setdefaulttimeout(settings.PUBLISH_TIMEOUT)  # supervisord's transport has none
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: sys.exit())
        self.look()
        if options["once"] and self.said["autoscale"]:
            raise CommandError("Nothing was done.")
        while not options["once"]:
            time.sleep(interval)
            self.look()

    def look(self) -> None:
        """Look at everything and act; where somebody gives no answer, do nothing and say so."""
        missing, why = "", f"watches {', '.join(self.scales) or 'nothing: no worker has a range'}"
        transport = SupervisorTransport(serverurl=self.server)
        try:
            waiting = read(worker for worker in WORKERS if worker.name in self.scales)
            with xmlrpc.ServerProxy("http://localhost", transport) as server:
                told: Any = server.supervisor.getAllProcessInfo()
                self.known = sorted(told, key=lambda each: (len(each["name"]), each["name"]))
                for name, (depth, age) in waiting.items():
                    self.scale(server, name, depth, age)
        except (OperationalError, OSError, HTTPException, xmlrpc.Error) as error:
            missing = "the broker" if isinstance(error, OperationalError) else "supervisord"
            why = f"nothing is done without {missing}: {error}"
            for scale in self.scales.values():
                scale.quiet = 0
        connections.close_all()
        self.say("autoscale", missing, why)

    def scale(self, server: Any, name: str, depth: int, age: float | None) -> None:
        """Start or stop processes of one worker, and say what and why."""
        for process in self.those(name, FAILING):
            line = f"{process['statename']}: {process['spawnerr'] or 'see its log'}"
            self.say(process["name"], (line, process["start"]), line)
        running = len(working := self.those(name, WORKING))
        target, kind, why = self.scales[name].decide(running, depth, age)
        chosen, act, bound = working[target:], server.supervisor.stopProcess, ""
        if target > running:
            chosen, bound = self.startable(name, target - running)
            target, act = running + len(chosen), server.supervisor.startProcess
        change = f"{running} -> {target} processes" if chosen else f"stays at {target}"
        line = f"{change}{self.rehearsed}: {why}{bound}" if kind else ""
        self.say(name, (change, kind, bound), line)
        for process in () if self.rehearsed else chosen:
            self.scales[name].since = 0
            act(f"{process['group']}:{process['name']}", False)  # without waiting

    def those(self, name: str, states: tuple[str, ...]) -> list[dict[str, Any]]:
        """Return the processes of a worker that are in one of these states, by their numbers."""
        ours = re.compile(rf"worker-{name}-\d+")  # as workers/supervise.py names them
        here = [process for process in self.known if process["statename"] in states]
        return [process for process in here if ours.fullmatch(process["name"])]

    def startable(self, name: str, more: int) -> tuple[list[dict[str, Any]], str]:
        """Return the processes to start, up to so many, and what bounds their number."""
        chosen = self.those(name, STARTABLE)[:more]
        bound = "" if len(chosen) == more else "; supervisord has no other that is stopped"
        for process in chosen:
            process["statename"] = "STARTING"
        try:
            while chosen and (over := excess([self.at_present(worker) for worker in WORKERS])):
                chosen.pop()["statename"] = "STOPPED"
                bound = f"; one more would take {over}"
        except Error as error:
            chosen, bound = [], f"; the database cannot be asked: {str(error).strip()}"
        return chosen, bound

    def at_present(self, worker: Worker) -> Worker:
        """Return a worker with as many processes as have connections now."""
        scaled = worker.name in self.scales
        return replace(worker, processes=len(self.those(worker.name, UP))) if scaled else worker

    def say(self, about: str, what: object, line: str) -> None:
        """Write a line to the log, unless the last one about the same said the same."""
        if self.said.get(about) != what and line:
            logger.info("%s: %s", about, line)
        self.said[about] = what
