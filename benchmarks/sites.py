"""Variants in place: each in its folder, with databases of its own, all on one interpreter."""

import json
import os
import re
import shutil
import subprocess
import sys
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from redis import Redis

from benchmarks.servers import Servers
from benchmarks.variants import DELIVERY, OURS, POOLS, PROJECTS, Variant
from tests.baked import BakedProject, command_line, given

STOCK = "bench:{}:"  # by task, what the keys of its messages begin with
EMPTY_DATABASE = "template1"  # as PostgreSQL calls it
SOURCES = Path(__file__).resolve().parent / "projects"


class Site:
    """A variant with servers of its own.

    environment: what its processes run with.
    broker: the client of its broker, where that is Redis.
    database: the name of its PostgreSQL database, where it has one.
    """

    def __init__(
        self, variant: Variant, folder: Path, environment: dict[str, str], database: str | None
    ) -> None:
        self.variant = variant
        self.folder = folder
        self.environment = environment
        self.database = database

    @cached_property
    def broker(self) -> Redis:
        """A client of its broker, which must be Redis."""
        return Redis.from_url(self.environment["CELERY_BROKER_URL"], decode_responses=True)

    def queue(self, pool: str) -> str:
        """Return the queue that a worker of a pool consumes; also its key in Redis."""
        return pool if self.variant.project == "ours" else "celery"

    def worker(self, pool: str, number: int) -> list[str]:
        """Return the command that a deployment would start the worker with.

        number: from 1 on; the names of several on one host must differ.
        """
        if self.variant.project == "ours":
            return ["workers.run", pool, *(["--process", str(number)] if number > 1 else [])]
        return [
            *("celery", "-A", PROJECTS[self.variant.project].app, "worker", "--loglevel=INFO"),
            f"--hostname=worker{number}@%h",
            f"--pool={pool}",
            f"--concurrency={POOLS[pool]}",
        ]

    def run(self, module: str, *arguments: str) -> str:
        """Run a module in the folder and return its output."""
        command = [self.environment["PYTHON"], "-m", module, *arguments]
        result = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True
        )
        if result.returncode:
            raise RuntimeError(f"{self.variant.name}: {command[2:]} failed:\n{result.stderr}")
        return result.stdout

    def stock_up(self, task: str, pool: str, times: int) -> None:
        """Have messages of a task ready to be queued; no worker may be up.

        They are sent by Celery once and copied for each round, so that queueing them costs no
        variant anything while it is measured.
        """
        self.clear()
        stock, queue = STOCK.format(task), self.queue(pool)
        if self.broker.llen(stock + queue) < times:
            self.run("bench.publish", task, str(times), queue)
            # What wakes a worker as well, where sending leaves more than the message.
            for key in map(str, self.broker.keys(f"{queue}*")):
                self.broker.rename(key, stock + key)

    def enqueue(self, task: str, pool: str, times: int) -> None:
        """Put messages into the empty queue, all of them in one moment."""
        queue = self.queue(pool)
        if self.broker.exists(queue):
            raise RuntimeError(f"{self.variant.name}: the queue is not empty")
        stock = STOCK.format(task)
        with self.broker.pipeline(transaction=True) as pipeline:
            for key in map(str, self.broker.keys(f"{stock}{queue}*")):
                sent = key.removeprefix(stock)
                pipeline.copy(key, "bench:next")
                pipeline.ltrim("bench:next", 0, times - 1)
                pipeline.rename("bench:next", sent)
            pipeline.execute()

    def unacknowledged(self) -> int:
        """Return how many messages workers hold."""
        return int(self.broker.hlen("unacked"))

    def clear(self) -> None:
        """Forget what earlier workers left in the broker."""
        keys = map(str, self.broker.keys("*"))
        if leftovers := [key for key in keys if not key.startswith("bench:")]:
            self.broker.delete(*leftovers)


class Sites:
    """The sites of a run, each made when it is first asked for."""

    def __init__(self, servers: Servers, folder: Path) -> None:
        self.servers = servers
        self.folder = folder
        self._sites: dict[tuple[str, str], Site] = {}
        self._folders: dict[tuple[str, str], Path] = {}
        # By project, what its new databases are copied from: the first one, once it has its tables.
        self._migrated: dict[str, str] = {}
        self._mark = servers.redis_database()
        self.marks: Redis = Redis.from_url(self._mark)

    def site(self, variant: Variant, broker: str = "redis") -> Site:
        """Return the site of a variant."""
        key = (variant.name, broker)
        if key not in self._sites:
            self._sites[key] = self._make(variant, broker)
        return self._sites[key]

    @cached_property
    def python(self) -> Path:
        """The one interpreter and environment: what the rendered project installs."""
        path = self._folder("ours", "redis")
        # Under the interpreter that runs this.
        BakedProject(path).run("make", "setup", UV_PYTHON=sys.executable)
        return path / ".venv" / "bin" / "python"

    def versions(self) -> dict[str, str]:
        """Return the versions of what every variant runs on."""
        versions: dict[str, str] = json.loads(self.site(OURS).run("bench.versions"))
        return versions

    @cached_property
    def delivery(self) -> dict[str, Any]:
        """The delivery settings of the rendered project."""
        settings: dict[str, Any] = json.loads(self.site(OURS).run("bench.settings_of", *DELIVERY))
        return settings

    def _make(self, variant: Variant, broker: str) -> Site:
        project = PROJECTS[variant.project]
        name = re.sub(r"\W+", "_", f"{variant.name}_{broker}")
        urls = {
            "CELERY_BROKER_URL": self.servers.vhost(name)
            if broker == "rabbitmq"
            else self.servers.redis_database(),
            "CELERY_RESULT_BACKEND": self.servers.redis_database(),
            "CACHE_URL": self.servers.redis_database(),
        }
        template = self._migrated.get(variant.project, EMPTY_DATABASE)
        if project.settings:
            urls["DATABASE_URL"] = self.servers.database(name, template=template)
            urls["DJANGO_SETTINGS_MODULE"] = project.settings
        folder = self._folder(variant.project, broker)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "PYTHON": str(self.python),
            "BENCH_APP": project.app,
            "BENCH_MARK_URL": self._mark,
            "BENCH_SETTINGS": json.dumps(variant.settings),
            "BENCH_DELIVERY": json.dumps(self.delivery if variant.delivery else {}),
            # As in production.
            "DJANGO_DEBUG": "false",
            "DJANGO_SECRET_KEY": "nothing is signed here",
            "DJANGO_ALLOWED_HOSTS": "localhost",
            **urls,
        }
        database = urlsplit(urls["DATABASE_URL"]).path[1:] if project.settings else None
        site = Site(variant, folder, environment, database)
        if database and template == EMPTY_DATABASE:
            site.run("django", "migrate", "--verbosity=0")
            self._migrated[variant.project] = database
        return site

    def _folder(self, project: str, broker: str) -> Path:
        key = (project, broker)
        if key not in self._folders:
            self._folders[key] = self._lay_out(project, broker)
        return self._folders[key]

    def _lay_out(self, project: str, broker: str) -> Path:
        if project == "ours":
            answers = given(
                project_slug=f"ours-{broker}",
                broker=broker,
                # The same for both brokers, so that they alone differ.
                result_backend="redis",
                queues=" ".join(f"{name}:{name}:{size}" for name, size in POOLS.items()),
                task_routes="",
            )
            result = command_line(*answers, folder=self.folder)
            if result.returncode:
                raise RuntimeError(result.stdout + result.stderr)
            path = self.folder / f"ours-{broker}"
        else:
            path = self.folder / project
        for source in (SOURCES / project, SOURCES / "bench"):
            target = path / "bench" if source.name == "bench" else path
            shutil.copytree(source, target, dirs_exist_ok=True)
        return path
