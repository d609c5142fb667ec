"""A rendered project under supervisord, on this host."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import port_for
import psutil

from tests.baked import PATIENCE, BakedProject, wait_until

CONFIGURATION = "deploy/supervisor/supervisord.conf"
PASSWORD = "secret"


@dataclass(frozen=True)
class Supervised:
    """A project under supervisord.

    payments: the URL of the stand-in for the payment service.
    """

    project: BakedProject
    environment: dict[str, str]
    url: str
    payments: str
    daemon: psutil.Popen

    def ctl(self, *arguments: str) -> str:
        """Run supervisorctl, whose exit status says more than whether it worked."""
        command = [".venv/bin/supervisorctl", "-c", CONFIGURATION, *arguments]
        result = subprocess.run(
            command, cwd=self.project.path, capture_output=True, text=True, check=False
        )
        return result.stdout

    def status(self) -> dict[str, str]:
        """Return the state of each program."""
        return {line.split()[0]: line.split()[1] for line in self.ctl("status").splitlines()}

    def pid(self, name: str) -> int:
        """Return the number of a program's process, 0 where it does not run."""
        return int(self.ctl("pid", name))

    def python(self, code: str) -> str:
        """Run Python among the project's settings."""
        return self.project.run("python", "-c", code, **self.environment)

    def nodes(self) -> list[str]:
        """Return the names of the workers that answer."""
        answers = self.python("from config.celery import app; print(*app.control.ping(timeout=2))")
        return sorted(re.findall(r"'([a-z0-9_-]+)@", answers))

    def place(self) -> str:
        """Place an order, and return its id."""
        order = {"email": "a@example.com", "amount": "12.50"}
        answer = httpx.post(f"{self.url}/api/orders/", json=order, timeout=PATIENCE)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def order(self, order_id: str) -> dict[str, Any]:
        """Return what the API says of an order."""
        answer = httpx.get(f"{self.url}/api/orders/{order_id}/", timeout=PATIENCE)
        order: dict[str, Any] = answer.json()
        return order

    def is_completed(self, order_id: str) -> bool:
        """Tell whether an order got through."""
        state = str(self.order(order_id)["state"])
        assert state != "failed"
        return state == "completed"

    def charges(self) -> list[int]:
        """Return how many calls asked for each charge."""
        charges = httpx.get(f"{self.payments}/charges", timeout=PATIENCE).json()
        return [charge["calls"] for charge in charges.values()]

    def log(self, name: str) -> str:
        """Return what a program has said."""
        return (self.project.path / f"deploy/supervisor/var/{name}.log").read_text()

    def all_run(self) -> bool:
        """Tell whether every program is up, and the web answers."""
        try:
            ready = httpx.get(f"{self.url}/readyz", timeout=PATIENCE).status_code == 200
        except httpx.TransportError:
            return False
        return ready and set(self.status().values()) == {"RUNNING"}


@contextmanager
def payment_service(project: BakedProject) -> Iterator[str]:
    """Run the example's stand-in for a payment service."""
    port = port_for.select_random()
    command = [".venv/bin/python", "-m", "orders.gateway_stand_in", "--port", str(port)]
    process = subprocess.Popen(command, cwd=project.path, env=project.environment())
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@contextmanager
def supervised(
    project: BakedProject,
    database: str,
    redis: str,
    payments: str,
    *,
    written: bool = False,
    **others: str,
) -> Iterator[Supervised]:
    """Run a project as its page says, in place.

    written: has `.env` hold the variables, instead of the environment of supervisord.
    others: further variables.
    """
    port, flower = port_for.select_random(), port_for.select_random()
    changes = {
        "DATABASE_URL": database,
        "CELERY_BROKER_URL": f"{redis}/0",
        "CELERY_RESULT_BACKEND": f"{redis}/1",
        "CACHE_URL": f"{redis}/2",
        "DJANGO_SECRET_KEY": "0123456789" * 5,
        "DJANGO_ALLOWED_HOSTS": "127.0.0.1",
        "DJANGO_SECURE_SSL_REDIRECT": "false",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "EMAIL_URL": "console://",
        "FLOWER_PASSWORD": PASSWORD,
        "FLOWER_PORT": str(flower),
        "PAYMENT_GATEWAY_URL": payments,
        "WEB_BIND": f"127.0.0.1:{port}",
        **others,
    }
    project.run("python", "manage.py", "migrate", "--verbosity=0", **changes)
    if written:
        lines = (f"{name}={value}\n" for name, value in changes.items())
        (project.path / ".env").write_text("".join(lines))
        changes = {"DJANGO_SETTINGS_MODULE": changes["DJANGO_SETTINGS_MODULE"]}
    # A service of a host has no more of an environment than it was given.
    given = {"PATH": os.environ["PATH"], **changes}
    with Path(project.path / "supervisord.out").open("wb") as output:
        daemon = psutil.Popen(
            [".venv/bin/supervisord", "-n", "-c", CONFIGURATION],
            cwd=project.path,
            env=given,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    service = Supervised(project, changes, f"http://127.0.0.1:{port}", payments, daemon)
    try:
        wait_until(service.all_run, 180)
        yield service
    finally:
        below = daemon.children(recursive=True)
        daemon.terminate()
        _, left = psutil.wait_procs([daemon, *below], timeout=60)
        for process in left:
            process.kill()
        assert not left
