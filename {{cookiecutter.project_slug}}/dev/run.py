"""`make run`: servers, web and one process per declared worker, in the foreground.

    WORKERS="default io_heavy" PORT=8000 python -m dev.run

Ctrl-C stops the web first, then lets the workers finish, and stops the servers last.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from config.queues import WORKERS
from dev import servers
from dev.ports import LOOPBACK, free_port, is_free
from workers import supervise
from workers.supervise import Program
from workers.worker import Worker

INTERRUPTED = 130  # what a shell reports after Ctrl-C


def main() -> None:
    """Run until Ctrl-C or TERM."""
    workers = chosen_workers(os.environ.get("WORKERS", ""))
    port = chosen_port(os.environ.get("PORT", "8000"))
    payments_port = free_port()
    offers = {
        "PAYMENT_GATEWAY_URL": f"http://{LOOPBACK}:{payments_port}",
        "EMAIL_URL": f"file:///{servers.LOCAL}/mail",
    }
    programs = [
        Program("payments", payments_command(payments_port), "backing"),
        *supervise.workers(workers),
        Program("web", web_command(port), "front"),
    ]
    with servers.shared() as urls:
        environment = servers.environment({**offers, **urls})
        migrate = [sys.executable, "manage.py", "migrate", "--verbosity=0"]
        subprocess.run(migrate, env=environment, check=True)
        show(environment, port, workers)
        # Ctrl-C reaches supervisord by itself, which stops the programs in their order.
        signal.signal(signal.SIGINT, lambda *_: None)
        supervisord = subprocess.Popen(supervise.command(programs), env=environment)
        signal.signal(signal.SIGTERM, lambda *_: supervisord.terminate())
        supervisord.wait()


def chosen_workers(names: str) -> list[Worker]:
    """Return the workers of these names, or all. Raises SystemExit for an unknown one."""
    wanted = names.split() or [worker.name for worker in WORKERS]
    known = {worker.name: worker for worker in WORKERS}
    if unknown := [name for name in wanted if name not in known]:
        raise SystemExit(f"WORKERS: no {', '.join(unknown)}; declared are: {', '.join(known)}.")
    return [known[name] for name in wanted]


def chosen_port(text: str) -> int:
    """Return the web's port. Raises SystemExit where nothing can listen on it."""
    if not text.isdecimal() or not is_free(int(text)):
        raise SystemExit(f"PORT: {text} is taken or not a port; try `make run PORT=8080`.")
    return int(text)


def payments_command(port: int) -> list[str]:
    """Return the command of the stand-in for the payment service."""
    return [sys.executable, "-m", "orders.gateway_stand_in", "--port", str(port)]


def web_command(port: int) -> list[str]:
    """Return the command of the web process, which reloads when a source changes."""
    gunicorn = [sys.executable, "-m", "gunicorn", "--reload", "--threads=8", "--log-level=warning"]
    return [*gunicorn, f"--bind={LOOPBACK}:{port}", "config.wsgi"]


def show(environment: Mapping[str, str], port: int, workers: Sequence[Worker]) -> None:
    """Say which servers and URLs are in use."""
    names = (*servers.VARIABLES, "PAYMENT_GATEWAY_URL", "EMAIL_URL")
    for name in names:
        origin = "named" if name in servers.named() else "embedded"
        print(f"{name:<22} {without_password(environment[name])}  ({origin})")
    print(f"{'workers':<22} {' '.join(worker.name for worker in workers)}")
    print(f"{'web':<22} http://{LOOPBACK}:{port}/", flush=True)


def without_password(url: str) -> str:
    """Return a URL fit to be shown."""
    password = urlsplit(url).password
    return url.replace(f":{password}@", ":***@") if password else url


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
