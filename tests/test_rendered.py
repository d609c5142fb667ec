"""Rendered projects at work: set up, linted, tested, run, stopped, as their users would."""

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pexpect
import port_for
import psutil
import pytest
import trustme

from tests.baked import OPTIONS, PATIENCE, BakedProject, RunningProject, bake, wait_until, words
from tests.servers import PASSWORD, real_postgresql, real_redis
from topology import rules


def stats(project: BakedProject) -> dict[str, Any]:
    """Return what each worker says of its pool, by the worker's name."""
    command = "celery -A config inspect stats --json --timeout 5"
    text = project.run("python", "-m", "dev.servers", *command.split())
    answers = json.loads(text[text.index("{") : text.rindex("}") + 1])
    return {node.partition("@")[0]: answer["pool"] for node, answer in answers.items()}


def test_the_answered_pools_and_sizes_are_what_runs(tmp_path: Path) -> None:
    project = bake(
        tmp_path,
        queues="default:prefork:2 video:threads:8 mail:gevent:50",
        task_routes="orders.tasks.render_*=video",
    )
    with project.running() as service:
        assert service.finish(service.place())["state"] == "completed"
        found: list[dict[str, dict[str, Any]]] = []
        wait_until(lambda: found.append(stats(project)) or len(found[-1]) == 3, 60)  # type: ignore[func-returns-value]
        pools = found[-1]
    assert {name: pool["max-concurrency"] for name, pool in pools.items()} == {
        "default": 2,
        "video": 8,
        "mail": 50,
    }
    assert {name: pool["implementation"] for name, pool in pools.items()} == {
        "default": "celery.concurrency.prefork:TaskPool",
        "video": "celery.concurrency.thread:TaskPool",
        "mail": "celery.concurrency.gevent:TaskPool",
    }


FIRST = {("redis", "prefork"), ("rabbitmq", "gevent")}
CELLS = [
    pytest.param(*cell, marks=[] if cell in FIRST else [pytest.mark.long])
    for cell in product(OPTIONS["broker"], rules.POOLS)
]


@pytest.mark.parametrize(("broker", "pool"), CELLS)
def test_one_worker_takes_an_order_to_the_end(
    tmp_path: Path, broker: str, pool: str, request: pytest.FixtureRequest
) -> None:
    project = bake(tmp_path, broker=broker, queues=f"jobs:{pool}")
    # Redis is embedded.
    named = {"CELERY_BROKER_URL": request.getfixturevalue("rabbitmq")} if broker != "redis" else {}
    with project.running(**named) as service:
        order = service.finish(service.place())
    assert order["state"] == "completed"
    assert {job["queue"] for job in order["jobs"]} == {"jobs"}


@pytest.mark.long
def test_rabbitmq_passes_its_own_lint_and_tests(tmp_path: Path, rabbitmq: str) -> None:
    project = bake(tmp_path, broker="rabbitmq")
    project.run("make", "lint")
    assert re.search(r"\d+ passed", project.run("make", "test", TEST_CELERY_BROKER_URL=rabbitmq))


def test_rabbitmq_that_nobody_named_comes_with_the_command_that_starts_one(tmp_path: Path) -> None:
    project = bake(tmp_path, broker="rabbitmq")
    for command in ("run", "test"):
        assert "\n  docker run --detach" in failing(project, "make", command)


@pytest.mark.long
def test_a_greenlet_worker_on_rabbitmq_always_stops(tmp_path: Path, rabbitmq: str) -> None:
    project = bake(tmp_path, broker="rabbitmq", database="sqlite", queues="jobs:gevent:5")
    project.run("make", "setup")
    environment = {"CELERY_BROKER_URL": rabbitmq, "DATABASE_URL": f"sqlite:///{tmp_path}/db"}
    for _ in range(3):
        worker = pexpect.spawn(
            f"{project.path}/.venv/bin/python -m workers.run jobs",
            cwd=str(project.path),
            env=project.environment(**environment),
            encoding="utf-8",
            timeout=60,
        )
        worker.expect("@.* ready")
        worker.kill(signal.SIGTERM)
        worker.expect(pexpect.EOF, timeout=20)
        assert worker.wait() == 0


@pytest.mark.long
@pytest.mark.parametrize(
    "answers",
    [
        {"database": "sqlite", "result_backend": "database", "beat_scheduler": "file"},
        {"result_backend": "none", "queues": "default:threads", "beat_scheduler": "none"},
        {"database": "sqlite", "example_app": "false"},
    ],
    ids=lambda answers: " ".join(answers.values()),
)
def test_another_choice_passes_its_own_lint_and_tests(
    tmp_path: Path, answers: dict[str, str]
) -> None:
    project = bake(tmp_path, **answers)
    project.run("make", "lint")
    assert re.search(r"\d+ passed", project.run("make", "test"))


def test_beat_sends_a_crontab_entry_once_and_a_killed_beat_sends_nothing_twice(
    tmp_path: Path,
) -> None:
    project = bake(tmp_path, queues="default:threads")
    declaration = project.path / "config" / "schedule.py"
    text = re.sub(r"crontab\(.*\)", "crontab()", declaration.read_text())
    (entry,) = re.findall(r'    "remove-expired-sessions".*\n    },\n', text, re.DOTALL)
    second = entry.replace("remove-expired-sessions", "once-more")
    declaration.write_text(text.replace(entry, entry + second))

    with project.running() as service:
        service.wait_for(lambda: len(sent(service)) >= 2, 180)
        (beat,) = (
            process
            for process in psutil.Process(service.process.pid).children(recursive=True)
            if words(process)[-4:] == ["celery", "-A", "config", "beat"]
        )
        beat.kill()
        service.wait_for(lambda: service.log.read_text().count("beat: Starting...") == 2, 60)
        # Beat may have died over a run that it had only spoken of; what it accepted goes out.
        accepted = claimed(service)
        service.wait_for(lambda: done(service) >= accepted, 60)
        # Its first task waits behind whatever the second beat sent.
        assert service.finish(service.place())["state"] == "completed"
        service.wait_for(lambda: done(service) == claimed(service) > 0, 60)
        runs = sent(service)
        log = service.log.read_text()
    assert set(Counter(runs).values()) == {1}
    assert {name for name, _ in runs} == {"remove-expired-sessions", "once-more"}
    assert re.search(r"^beat +config/schedule\.py$", log, re.MULTILINE)


def test_nothing_speaks_of_beat_where_there_is_none(tmp_path: Path) -> None:
    project = bake(tmp_path, beat_scheduler="none", result_backend="database")
    for name, content in project.files.items():
        if not name.startswith(("workers/", ".cookiecutter.json")):  # the same in every project
            text = f"{name} {content.decode()}".lower()
            text = re.sub(r"heartbeat|health\.beat", "", text)
            assert "beat" not in text, name


def claimed(service: RunningProject) -> int:
    """Return how many runs the database says have been sent."""
    code = (
        "from workers.models import Effect; "
        "print(Effect.objects.filter(key__startswith='beat:').count())"
    )
    return int(service.manage("python", "manage.py", "shell", "--verbosity=0", "--command", code))


def done(service: RunningProject) -> int:
    """Return how many runs of the schedule's task have succeeded: one may come twice from the outbox."""
    found = re.findall(r"remove_expired_sessions\[(\S+)\] succeeded", service.log.read_text())
    return len(set(found))


def sent(service: RunningProject) -> list[tuple[str, str]]:
    """Return (entry, minute) of all that beat says it has sent."""
    line = r"(\d\d:\d\d):\S+ INFO +beat +celery\.beat: Scheduler: Sending due task (\S+)"
    return [(name, minute) for minute, name in re.findall(line, service.log.read_text())]


@pytest.mark.long
def test_django_6_passes_its_own_lint_and_tests(tmp_path: Path, newer_python: Path) -> None:
    project = bake(tmp_path, django_version="6.0")
    python = {"UV_PYTHON": str(newer_python)}
    project.run("make", "lint", **python)
    assert re.search(r"\d+ passed", project.run("make", "test", **python))
    assert project.run("python", "-m", "django", "--version").startswith("6.0")


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"broker": "rabbitmq", "database": "sqlite"},
        {"dedicated_task_database": "true", "result_backend": "database"},
        {"queues": "default io", "task_routes": "orders.tasks.call_*=io accounts.*=io"},
    ],
    ids=lambda answers: " ".join(answers.values()),
)
def test_removing_the_example_leaves_the_project_without_it(
    tmp_path: Path, answers: dict[str, str]
) -> None:
    project = bake(tmp_path / "with", **answers)
    kept = {**answers, "task_routes": answers.get("task_routes", "").partition(" ")[2]}
    project.run("python3", "-B", "-m", "orders.remove")
    assert project.files == bake(tmp_path / "without", **kept, example_app="false").files


@pytest.mark.long
def test_without_the_example_a_task_runs_and_nothing_speaks_of_it(tmp_path: Path) -> None:
    project = bake(tmp_path, example_app="false", description="Nothing yet.", queues="jobs:threads")
    files = project.files
    code = "from accounts.tasks import remove_expired_sessions as task; task.delay()"
    with project.running() as service:
        service.manage("python", "manage.py", "shell", "--verbosity=0", "--command", code)
        done = re.compile(r"Task accounts\.tasks\.remove_expired_sessions\S+ succeeded")
        service.wait_for(lambda: done.search(service.log.read_text()), 60)
    assert not [
        name for name, content in files.items() if re.search(rb"\borders\b|payment", content)
    ]


@pytest.mark.parametrize("pool", ["prefork", pytest.param("gevent", marks=pytest.mark.long)])
def test_ctrl_c_stops_the_web_then_the_workers_then_the_servers(tmp_path: Path, pool: str) -> None:
    project = bake(tmp_path, queues=f"default io_heavy:{pool}:4")
    project.install()
    port = port_for.select_random()
    # Longer than it takes until the web is gone.
    running = f"make run PORT={port} WORKERS='default io_heavy' PAYMENT_GATEWAY_TIMEOUT=60"
    terminal = shell(project, running)
    shown = terminal.logfile_read = StringIO()
    broker = int(read(terminal, r"CELERY_BROKER_URL +redis://127.0.0.1:(\d+)/0 "))
    payments = read(terminal, r"PAYMENT_GATEWAY_URL +(\S+)")
    terminal.expect("@.* ready")
    terminal.expect("@.* ready")
    wait_until(lambda: is_listening(port), 60)

    httpx.put(f"{payments}/behaviour", json={"delay": 20}, timeout=PATIENCE)
    url = f"http://127.0.0.1:{port}/api/orders/"
    order = {"email": "a@example.com", "amount": "12.50"}
    order_id = httpx.post(url, json=order, timeout=PATIENCE).json()["id"]
    terminal.expect(r"call_gateway\[.*\] received")
    terminal.sendintr()
    wait_until(lambda: not is_listening(port), 30)
    assert is_listening(broker)
    terminal.expect(pexpect.TIMEOUT, timeout=0.5)  # until nothing is left to be read
    assert "call_gateway" not in succeeded(shown.getvalue())
    terminal.expect(pexpect.EOF)
    terminal.close()

    output = shown.getvalue()
    assert "call_gateway" in succeeded(output)
    assert "Traceback" not in output
    assert "ERROR" not in output
    assert not is_listening(broker)

    with project.running() as service:
        assert service.finish(order_id)["state"] == "completed"


@pytest.mark.long
def test_a_project_is_run_once_and_anywhere(tmp_path: Path) -> None:
    project = bake(tmp_path / "a b'c %d")
    with project.running() as service:
        assert service.finish(service.place())["state"] == "completed"
        assert list((project.path / ".local" / "mail").iterdir())
        second = failing(project, "make", "run", f"PORT={port_for.select_random()}")
        assert "Already running as PID" in second
        assert "PORT: " in failing(project, "make", "run", "PORT=1x")
        assert "identified no issues" in service.manage("python", "manage.py", "check")
        os.killpg(service.process.pid, signal.SIGKILL)
        service.process.wait()
        message = failing(project, "make", "run", f"PORT={port_for.select_random()}")
        (remedy,) = re.findall(r"End them first: (pkill .*)", message)
        subprocess.run(remedy, shell=True, check=True)
        wait_until(lambda: not processes_of(project), 60)
    with project.running() as service:
        assert service.finish(service.place())["state"] == "completed"


def processes_of(project: BakedProject) -> list[int]:
    """Return the processes whose program lies in the project."""
    here = str(project.path)
    every = psutil.process_iter()
    return [process.pid for process in every if any(here in word for word in words(process))]


def test_a_bad_variable_stops_make_run_with_a_sentence(tmp_path: Path) -> None:
    project = bake(tmp_path)
    output = failing(project, "make", "run", CACHE_URL="nonsense")
    assert 'Cannot start: Environment variable "CACHE_URL"' in output
    assert "WORKERS: no nobody; declared are: default" in failing(
        project, "make", "run", "WORKERS=nobody"
    )


def failing(project: BakedProject, *command: str, **changes: str) -> str:
    """Run a command that must fail without a traceback, and return what it printed."""
    result = subprocess.run(
        command,
        cwd=project.path,
        env=project.environment(**changes),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert result.returncode != 0
    assert "Traceback" not in result.stdout
    return result.stdout


@pytest.mark.long
def test_a_second_ctrl_c_kills_and_all_runs_every_worker(tmp_path: Path) -> None:
    project = bake(tmp_path, queues="default:threads video:prefork:2")
    project.install()
    port = port_for.select_random()
    terminal = shell(project, f"make run PORT={port}")
    payments = read(terminal, r"PAYMENT_GATEWAY_URL +(\S+)")
    for _ in range(2):
        terminal.expect("@.* ready")
    wait_until(lambda: is_listening(port), 60)
    httpx.put(f"{payments}/behaviour", json={"delay": 600}, timeout=PATIENCE)
    order = {"email": "a@example.com", "amount": "12.50"}
    httpx.post(f"http://127.0.0.1:{port}/api/orders/", json=order, timeout=PATIENCE)
    terminal.expect(r"call_gateway\[.*\] received")
    terminal.sendintr()
    terminal.expect("Once more kills")
    terminal.sendintr()
    terminal.expect(pexpect.EOF)
    assert "Traceback" not in str(terminal.before)
    assert not processes_of(project)

    terminal = shell(project, f"make run PORT={port}")
    for _ in range(2):
        terminal.expect("@.* ready")
    terminal.send("\x03\x03")  # both at once
    terminal.expect(pexpect.EOF)
    assert "Traceback" not in str(terminal.before)
    wait_until(lambda: not processes_of(project), 10)

    terminal = shell(project, "python -m dev.servers python -m workers.run --all")
    for _ in range(2):
        terminal.expect("@.* ready")
    wait_until(lambda: set(stats(project)) == {"default", "video"}, 60)
    terminal.sendintr()
    terminal.expect(pexpect.EOF)
    assert "Traceback" not in str(terminal.before)
    assert terminal.wait() == 0
    assert not processes_of(project)


def shell(project: BakedProject, command: str) -> "pexpect.spawn[str]":
    """Run a command in a terminal, in the project."""
    environment = project.environment()
    return pexpect.spawn(
        command, cwd=str(project.path), env=environment, encoding="utf-8", timeout=120
    )


def read(terminal: "pexpect.spawn[str]", pattern: str) -> str:
    """Wait for a pattern and return its group."""
    terminal.expect(pattern)
    assert isinstance(terminal.match, re.Match)
    return str(terminal.match[1])


def is_listening(port: int) -> bool:
    """Tell whether somebody answers on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def succeeded(log: str) -> list[str]:
    """Return the names of the tasks that a log says have succeeded."""
    return re.findall(r"Task \w+\.tasks\.(\w+)\[\S+ succeeded", log)


@pytest.mark.long
def test_servers_that_env_names_are_used(
    tmp_path: Path, redis_server: Path, postgresql: Path
) -> None:
    project = bake(tmp_path / "project")
    project.run("make", "setup")
    with real_redis(redis_server, tmp_path) as redis, real_postgresql(postgresql) as database:
        with (project.path / ".env").open("a") as file:
            file.write(
                f"DATABASE_URL={database}\nCELERY_BROKER_URL={redis}/0\n"
                f"CELERY_RESULT_BACKEND={redis}/1\nCACHE_URL={redis}/2\n"
            )
        with project.running() as service:
            assert service.finish(service.place())["state"] == "completed"
            shown = service.log.read_text()
    for variable in ("DATABASE_URL", "CELERY_BROKER_URL", "CELERY_RESULT_BACKEND", "CACHE_URL"):
        assert re.search(rf"^{variable} .*:\*\*\*@.*\(named\)$", shown, re.MULTILINE)
    assert PASSWORD not in shown
    assert not (project.path / ".local" / "postgresql").exists()
    assert not (project.path / ".local" / "valkey").exists()


@contextmanager
def tls_server(folder: Path) -> Iterator[tuple[int, Path, list[str]]]:
    """Listen with a certificate of an authority of our own; yield port, its file, and a log."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    log: list[str] = []

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(connection, server_side=True) as secured:
                    log.append("accepted")
                    secured.recv(1024)
            except OSError as error:
                log.append(f"refused: {error}")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=[listener], daemon=True).start()
        yield listener.getsockname()[1], folder / "ca.pem", log


@pytest.mark.parametrize(
    "connect",
    [
        "app.connection_for_write().ensure_connection(max_retries=1, timeout=2)",
        "app.backend.client.ping()",
    ],
    ids=["broker", "results"],
)
def test_a_certificate_that_nobody_vouches_for_is_refused(
    default_project: BakedProject, tmp_path: Path, connect: str
) -> None:
    code = f"from config.celery import app; {connect}"
    with tls_server(tmp_path) as (port, authority, log):
        url = f"rediss://localhost:{port}"
        environment = {
            "DATABASE_URL": "postgresql://localhost/x",
            "CELERY_BROKER_URL": f"{url}/0",
            "CELERY_RESULT_BACKEND": f"{url}/1",
            "CACHE_URL": f"{url}/2",
        }

        def attempt(**trust: str) -> str:
            result = subprocess.run(
                ["python", "-c", code],
                cwd=default_project.path,
                env=default_project.environment(**environment, **trust),
                capture_output=True,
                text=True,
                check=False,
            )
            return result.stderr

        assert "CERTIFICATE_VERIFY_FAILED" in attempt()
        assert "accepted" not in log
        assert "CERTIFICATE_VERIFY_FAILED" not in attempt(SSL_CERT_FILE=str(authority))
        assert "accepted" in log


def test_secrets_stay_out_of_git(default_project: BakedProject) -> None:
    text = (default_project.path / ".env").read_text()
    secrets = dict(re.findall(r"^(\w*(?:KEY|PASSWORD|SECRET))=(.*)$", text, re.MULTILINE))
    assert {"DJANGO_SECRET_KEY", "POSTGRES_PASSWORD", "REDIS_PASSWORD", "FLOWER_PASSWORD"} < {
        *secrets
    }
    assert all(len(secret) > 50 for secret in secrets.values())
    default_project.run("git", "init", "--quiet")
    default_project.run("git", "add", "--all")
    staged = default_project.run("git", "ls-files").split()
    assert "uv.lock" in staged
    for name in staged:
        content = (default_project.path / name).read_text()
        assert not [secret for secret in secrets.values() if secret in content], name
    assert not {name for name in staged if name.startswith((".env", ".local"))} - {".env.example"}


@pytest.mark.long
def test_setup_needs_no_uv(default_project: BakedProject, tmp_path: Path) -> None:
    project = bake(tmp_path)
    bare = [
        folder
        for folder in os.environ["PATH"].split(os.pathsep)
        if not (Path(folder) / "uv").exists()
    ]
    project.run("make", "setup", PATH=os.pathsep.join(bare))
    assert (project.path / ".tools" / "bin" / "uv").exists()
    project.run("python", "-m", "dev.servers", "python", "manage.py", "check")
