"""A rendered project under Docker Compose."""

import json
import subprocess
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import port_for
import pytest
import yaml

from tests.baked import PATIENCE, BakedProject, bake

BUILD = 900  # seconds that a first build may take


def has_engine() -> bool:
    """Tell whether a Docker Engine answers."""
    try:
        return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@dataclass(frozen=True)
class Composed:
    """A project whose containers are up.

    files: of Compose, in the project.
    """

    project: BakedProject
    files: tuple[str, ...]
    port: int

    @property
    def url(self) -> str:
        """Where the web is."""
        return f"http://127.0.0.1:{self.port}"

    def compose(self, *arguments: str, check: bool = True) -> str:
        """Run Compose, and return what it printed."""
        files = [word for file in self.files for word in ("--file", file)]
        result = subprocess.run(
            ["docker", "compose", *files, "--ansi=never", *arguments],
            cwd=self.project.path,
            env=self.project.environment(),
            capture_output=True,
            text=True,
            timeout=BUILD,
            check=False,
        )
        if check and result.returncode:
            logs = self.compose("logs", "--no-color", "--tail=30", check=False)
            pytest.fail(f"{arguments}: {result.stdout}{result.stderr}\n{logs}"[-12_000:])
        return result.stdout

    def inspect(self, service: str) -> list[dict[str, Any]]:
        """Return what the engine says of each container of a service, stopped ones included."""
        ids = self.compose("ps", "--all", "--quiet", service).split()
        shown = subprocess.run(["docker", "inspect", *ids], capture_output=True, check=True).stdout
        found: list[dict[str, Any]] = json.loads(shown)
        return found

    @property
    def services(self) -> list[str]:
        """Every service that there is a container of."""
        return sorted(set(self.compose("ps", "--all", "--services").split()))

    def python(self, service: str, code: str) -> str:
        """Run Python in a container."""
        return self.compose("exec", "--no-TTY", service, "python", "-c", code)

    def nodes(self) -> list[str]:
        """Return the names of the workers that answer."""
        code = "from config.celery import app\nfor a in app.control.ping(timeout=3): print(*a)"
        return sorted(self.python("web", code).split())

    def signal_main(self, service: str, name: str) -> None:
        """Send a signal to the main process of a worker, inside its container."""
        kill = f"kill -{name} $(cut -d' ' -f1 /tmp/heartbeats/*)"
        self.compose("exec", "--no-TTY", service, "sh", "-c", kill)

    def place(self) -> str:
        """Place an order, as a proxy that ends TLS would hand it on; return its id."""
        order = {"email": "a@example.com", "amount": "12.50"}
        answer = self._ask("POST", "/api/orders/", json=order)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def order(self, order_id: str) -> dict[str, Any]:
        """Return what the API says of an order."""
        order: dict[str, Any] = self._ask("GET", f"/api/orders/{order_id}/").json()
        return order

    def is_completed(self, order_id: str) -> bool:
        """Tell whether an order got through."""
        state = str(self.order(order_id)["state"])
        assert state != "failed"
        return state == "completed"

    def _ask(self, method: str, path: str, **content: Any) -> httpx.Response:
        headers = {"Host": "shop.example.com", "X-Forwarded-Proto": "https"}
        return httpx.request(
            method, f"{self.url}{path}", headers=headers, timeout=PATIENCE, **content
        )


@contextmanager
def composed(folder: Path, payments: str, stale: int, **answers: str) -> Iterator[Composed]:
    """Bring a project up as in production, and take it down with everything that it stored.

    payments: the URL of the payment service, as containers reach it.
    stale: after how many seconds of silence a worker counts as frozen, which is minutes for users.
    """
    with made(folder, ("compose.yaml", "test.yaml"), **answers) as up:
        configure(up, DJANGO_ALLOWED_HOSTS="shop.example.com", DJANGO_BEHIND_TLS_PROXY="true")
        configure(up, EMAIL_URL="console://", PAYMENT_GATEWAY_URL=payments)
        command = ["CMD", "python", "-m", "workers.health", "--kill", f"--stale={stale}"]
        services = yaml.safe_load((up.project.path / "compose.yaml").read_text())["services"]
        changed = {
            name: {"healthcheck": {"test": command}}
            for name in services
            if name.startswith("worker-")
        }
        (up.project.path / "test.yaml").write_text(yaml.safe_dump({"services": changed}))
        up.compose("up", "--detach", "--build", "--wait")
        yield up


@contextmanager
def made(folder: Path, files: tuple[str, ...], **answers: str) -> Iterator[Composed]:
    """Render a project and set it up; take down at the end what was brought up."""
    project = bake(
        folder, project_slug=f"shop-{uuid.uuid4().hex[:8]}", deployment="docker", **answers
    )
    project.run("make", "setup")
    up = Composed(project, files, port_for.select_random())
    configure(up, WEB_PORT=str(up.port))
    try:
        yield up
    except BaseException:
        print(up.compose("logs", "--tail=200", check=False))
        raise
    finally:
        up.compose(
            "down", "--volumes", "--timeout=30", "--remove-orphans", "--rmi=local", check=False
        )


def configure(up: Composed, **variables: str) -> None:
    """Set variables in .env."""
    with (up.project.path / ".env").open("a") as file:
        file.writelines(f"{name}={value}\n" for name, value in variables.items())


@contextmanager
def payment_service(project: Path) -> Iterator[Any]:
    """Run the example's stand-in for a payment service on every address of this host."""
    source = (project / "orders" / "gateway_stand_in.py").read_text()
    module: dict[str, Any] = {"__name__": "gateway_stand_in"}
    exec(source, module)
    server = module["PaymentService"](0, "0.0.0.0")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
