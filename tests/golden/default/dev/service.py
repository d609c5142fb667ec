"""Servers, web and one process per declared worker, in the foreground.

Ctrl-C stops the web first, then lets the workers finish, and stops the servers last.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress

import psutil

from config.queues import WORKERS
from dev import ports, servers
from dev.ports import LOOPBACK
from workers import supervise
from workers.supervise import Program
from workers.worker import Worker

# The aliases of the databases that are migrated, one by one.
DATABASES = [
    "default",
]


def main() -> int:
    """Run until Ctrl-C or TERM, and return an exit status."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    workers = chosen_workers(os.environ.get("WORKERS", ""))
    port = chosen_port(os.environ.get("PORT", "8000"))
    try:
        with servers.owned() as urls:
            return serve(urls, port, workers)
    except servers.InUseError as in_use:
        owner = in_use.args[0]
        if is_alive(owner):
            print(f"Already running as PID {owner}: stop it first.", file=sys.stderr)
        else:
            print(
                f"PID {owner} was killed and left its servers and workers behind. End them first: "
                f"pkill -f {shlex.quote(f'{servers.ROOT}/')}",
                file=sys.stderr,
            )
        return 1


def is_alive(pid: int) -> bool:
    """Tell whether a process runs, and is not merely waiting to be reaped."""
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def serve(urls: Mapping[str, str], port: int, workers: Sequence[Worker]) -> int:
    """Run everything beside the servers."""
    offers = {
        **urls,
        "EMAIL_URL": "file:///.local/mail",  # relative: the project's path may hold anything
    }
    programs = [*supervise.workers(workers), Program("web", web_command(port), "front")]
    payments_port = str(ports.free_port())
    payments = [sys.executable, "-m", "orders.gateway_stand_in", "--port", payments_port]
    programs.append(Program("payments", payments, "backing"))
    offers["PAYMENT_GATEWAY_URL"] = f"http://{LOOPBACK}:{payments_port}"
    beat = ["env", "WORKER_NAME=beat", sys.executable, "-m", "celery", "-A", "config", "beat"]
    programs.append(Program("beat", beat, "front"))
    environment = servers.environment(offers)
    migrate = [sys.executable, "manage.py", "migrate", "--verbosity=0"]
    for alias in DATABASES:
        # In a session of its own, Ctrl-C ends it without a word.
        migrated = subprocess.run(
            [*migrate, f"--database={alias}"], env=environment, check=False, start_new_session=True
        )
        if migrated.returncode:
            return migrated.returncode

    for name in offers:
        origin = "named" if name in servers.named() else "embedded"
        print(f"{name:<22} {without_password(environment[name])}  ({origin})")
    print(f"{'workers':<22} {' '.join(worker.name for worker in workers)}")
    print(f"{'beat':<22} config/schedule.py")
    print(f"{'web':<22} http://{LOOPBACK}:{port}/", flush=True)
    command = supervise.command(programs, servers.LOCAL)
    # Out of the terminal's reach, so that Ctrl-C comes to us alone.
    supervisord = psutil.Popen(command, env=environment, start_new_session=True)
    return wait(supervisord)


def wait(supervisord: psutil.Popen) -> int:
    """Wait for supervisord: the first Ctrl-C or TERM stops it in order, the second kills."""
    stops = iter((stop_in_order, kill))

    def stop(*_: object) -> None:
        if how := next(stops, None):
            how(supervisord)

    # Not a KeyboardInterrupt: a second one could come while the first is dealt with, and end us
    # before the workers.
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    return int(supervisord.wait())


def stop_in_order(supervisord: psutil.Popen) -> None:
    """Have supervisord stop the web, then the workers."""
    print("\nStopping the web, then the workers, then the servers. Once more kills.", flush=True)
    supervisord.terminate()


def kill(supervisord: psutil.Popen) -> None:
    """End supervisord and every process below it at once."""
    with suppress(psutil.NoSuchProcess):
        for process in [supervisord, *supervisord.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                process.kill()


def chosen_workers(names: str) -> list[Worker]:
    """Return the workers of these names, or all. Raises SystemExit for an unknown one."""
    wanted = list(dict.fromkeys(names.split())) or [worker.name for worker in WORKERS]
    known = {worker.name: worker for worker in WORKERS}
    if unknown := [name for name in wanted if name not in known]:
        raise SystemExit(f"WORKERS: no {', '.join(unknown)}; declared are: {', '.join(known)}.")
    return [known[name] for name in wanted]


def chosen_port(text: str) -> int:
    """Return the web's port. Raises SystemExit where nothing can listen on it."""
    if not text.isdecimal() or not ports.is_free(int(text)):
        raise SystemExit(f"PORT: {text} is taken or not a port; try `make run PORT=8080`.")
    return int(text)


def web_command(port: int) -> list[str]:
    """Return the command of the web process, which reloads when a source changes."""
    gunicorn = [sys.executable, "-m", "gunicorn", "--reload", "--log-level=warning"]
    bound = ["--config=python:config.web", f"--bind={LOOPBACK}:{port}"]
    return [*gunicorn, *bound, "config.wsgi"]


def without_password(url: str) -> str:
    """Return a URL, or several, fit to be shown."""
    return re.sub(r"(://[^:@/]*):[^@]*@", r"\1:***@", url)
