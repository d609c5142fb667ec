"""Renders the default project and watches it take an order through real workers.

KEEP=1 leaves the service running until Ctrl-C.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import port_for

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "demo"
PROJECT = BUILD / "order-service"
LOG = BUILD / "run.log"

# Variables that name servers and secrets.
NAMES = (
    "DATABASE_URL",
    "TASKS_DATABASE_URL",
    "CELERY_",
    "CACHE_URL",
    "DJANGO_",
    "EMAIL_URL",
    "PAYMENT_GATEWAY_",
    "HEARTBEAT_FOLDER",
    "FLOWER_",
    "COMPOSE_",
)

START = 120  # seconds until the web answers
ANSWER = 60  # seconds that one answer may take on a busy machine
FINISH = 120  # seconds until the order has ended
STOP = 60  # seconds until everything has stopped

began = time.monotonic()


def say(text: str) -> None:
    """Print a step as it happens, with the seconds since the start."""
    print(f"{time.monotonic() - began:6.1f} s  {text}", flush=True)


def main() -> int:
    """Return 0 where an order was completed by two workers or more."""
    shutil.rmtree(BUILD, ignore_errors=True)
    BUILD.mkdir(parents=True)
    say("render the default project")
    quietly("cookiecutter", str(ROOT), "--no-input", "--output-dir", str(BUILD))
    say("make setup")
    quietly("make", "--directory", str(PROJECT), "setup")

    port = port_for.select_random()
    url = f"http://127.0.0.1:{port}"
    say(f"make run PORT={port}")
    with running(port) as service:
        wait_until(lambda: answers(url), START, service)
        order = httpx.post(
            f"{url}/api/orders/",
            json={"email": "a@example.com", "amount": "12.50"},
            headers={"Idempotency-Key": "demo"},
            timeout=ANSWER,
        ).json()
        say(f"placed an order: {url}/orders/{order['id']}/")
        order = follow(f"{url}/api/orders/{order['id']}/", service)
        workers = {job["worker"] for job in order["jobs"]}
        if order["state"] != "completed" or len(workers) < 2:
            raise SystemExit(f"The order did not get through: {order}\nSee {LOG}.")
        say(f"completed by {len(workers)} workers; the receipt is in {PROJECT}/.local/mail")
        if os.environ.get("KEEP"):
            say(f"running at {url}/ until Ctrl-C")
            service.wait()
    say("stopped")
    print("\nTo keep it running: make demo KEEP=1")
    print(f"To run it by hand:  make --directory {PROJECT.relative_to(Path.cwd())} run")
    return 0


def quietly(*command: str) -> None:
    """Run a command and show its output only where it fails."""
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{result.stdout}{result.stderr}")


@contextmanager
def running(port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run the service until the block ends, then stop it as Ctrl-C would."""
    command = ["make", "--directory", str(PROJECT), "run", f"PORT={port}"]
    # A server that the caller's environment names is not ours to migrate.
    outer = {name: value for name, value in os.environ.items() if not name.startswith(NAMES)}
    with LOG.open("wb") as log:
        service = subprocess.Popen(
            command, env=outer, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield service
    finally:
        if service.poll() is None:
            say("stop: web, then workers, then servers")
            os.killpg(service.pid, signal.SIGINT)
        try:
            service.wait(timeout=STOP)
        except subprocess.TimeoutExpired:
            os.killpg(service.pid, signal.SIGINT)  # the second one kills
            service.wait()


def follow(url: str, service: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Print each step of an order as it happens, and return the order at its end."""
    shown = 0

    def ended() -> dict[str, Any] | None:
        nonlocal shown
        order: dict[str, Any] = httpx.get(url, timeout=ANSWER).json()
        for job in order["jobs"][shown:]:
            say("{state:<10} {task:<28} by {worker} from the queue {queue}".format(**job))
        shown = len(order["jobs"])
        return order if order["state"] in ("completed", "failed") else None

    order: dict[str, Any] = wait_until(ended, FINISH, service)
    return order


def answers(url: str) -> bool:
    """Tell whether the web is up."""
    try:
        return httpx.get(url, timeout=ANSWER).is_success
    except httpx.TransportError:
        return False


def wait_until(ask: Callable[[], Any], seconds: float, service: subprocess.Popen[bytes]) -> Any:
    """Return the first true answer. Raises SystemExit where the service ends or time is up."""
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        if service.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"The service did not get that far; the end of {LOG}:\n\n{tail()}")
        time.sleep(0.1)
    return answer


def tail() -> str:
    """Return the last lines of the service's log."""
    return "\n".join(LOG.read_text(errors="replace").splitlines()[-30:])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
