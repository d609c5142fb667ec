"""Waits for a server to answer."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

START = 30  # seconds that a server may take to answer


def wait_for(
    ask: Callable[[], object],
    refusal: type[Exception],
    server: subprocess.Popen[bytes],
    log: Path,
) -> None:
    """Ask until no refusal is raised. Raises SystemExit where the server ends or time is up."""
    deadline = time.monotonic() + START
    while True:
        try:
            ask()
            return
        except refusal as error:
            if server.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"A server did not start ({error}); see {log}.") from None
            time.sleep(0.05)
