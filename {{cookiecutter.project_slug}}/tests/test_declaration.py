"""config/queues.py, the rules it obeys, and the commands made from it."""

import subprocess
import sys
from configparser import ConfigParser

import celery
import pytest
from django.core.checks import run_checks

from accounts.tasks import remove_expired_sessions
from config import limits
from config.celery import app
from config.queues import ROUTES, WORKERS
from workers import checks, run, supervise
from workers.worker import Worker, problems


def execute(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)


def test_the_declaration_obeys_the_rules() -> None:
    assert problems(WORKERS, ROUTES) == []
    assert run_checks() == []


@pytest.mark.parametrize(
    ("worker", "reason"),
    [
        (Worker("Mail"), "not a name"),
        (Worker("m" * 41), "41 characters"),
        (Worker("mail", pool="warp"), "unknown pool 'warp'"),
        (Worker("mail", concurrency=0), "concurrency 0 starts below 1"),
        (Worker("mail", concurrency=(8, 2)), "concurrency 8-2 ends below its start"),
        (Worker("mail", concurrency=100_000), "concurrency 100000 is more than it can carry"),
        (Worker("mail", pool="threads", concurrency=(2, 8)), "'threads' cannot autoscale"),
        (Worker("mail", pool="solo", concurrency=2), "concurrency 2 is more than it can carry"),
        (Worker("mail", processes=0), "processes 0 starts below 1"),
        (Worker("mail", queues=("a b",)), "not a name"),
    ],
)
def test_a_worker_that_cannot_work_is_refused(worker: Worker, reason: str) -> None:
    (found,) = problems([worker], {})
    assert reason in str(found)


def test_a_repeated_worker_is_refused() -> None:
    (found,) = problems([Worker("mail"), Worker("mail")], {})
    assert str(found) == "mail: declared 2 times; keep one of each name"


@pytest.mark.parametrize("route", [{"app.tasks.send": "nowhere"}, {"no name": "mail"}])
def test_a_route_that_cannot_work_is_refused(route: dict[str, str]) -> None:
    assert len(problems([Worker("mail")], route)) == 1


def test_the_checks_refuse_a_task_that_no_stop_would_wait_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(remove_expired_sessions, "time_limit", limits.TASK + 1)
    (error,) = run_checks()
    assert remove_expired_sessions.name in error.msg
    assert f"Set TASK in config/limits.py to {limits.TASK + 1}" in str(error.hint)


def test_the_checks_refuse_a_task_that_is_none_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    class Plain(celery.Task):
        name = "plain"

    monkeypatch.setitem(app.tasks, "plain", Plain())
    (error,) = run_checks()
    assert "The task plain is of a class" in error.msg


def test_the_checks_refuse_a_route_to_an_undeclared_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "ROUTES", {"app.tasks.*": "nowhere"})
    (error,) = run_checks()
    assert "app.tasks.*=nowhere" in error.msg
    assert WORKERS[0].name in str(error.hint)


def test_the_checks_refuse_a_queue_that_no_worker_consumes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(app.conf, "task_default_queue", "nowhere")
    (error,) = run_checks()
    assert "CELERY_TASK_DEFAULT_QUEUE names the queue 'nowhere'" in error.msg


def test_the_checks_refuse_a_pool_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "WORKERS", [*WORKERS, Worker("calls", pool="gevent")])
    monkeypatch.setattr(checks, "find_spec", lambda name: None)
    error = run_checks()[-1]
    assert "The worker 'calls' uses the pool 'gevent'" in error.msg
    assert error.hint == "Run `uv add gevent`."


def test_the_declaration_loads_neither_django_nor_celery() -> None:
    code = (
        "import sys, config.queues, workers.run\n"
        "print([name for name in sys.modules if name in ('django', 'celery', 'kombu')])"
    )
    assert execute("-c", code).stdout == "[]\n"


@pytest.mark.parametrize("worker", WORKERS, ids=lambda worker: worker.name)
def test_run_prints_the_command_of_a_worker(worker: Worker) -> None:
    line = execute("-m", "workers.run", worker.name, "--print").stdout.split()
    assert line[:4] == ["celery", "-A", "config", "worker"]
    assert f"--hostname={worker.name}@%h" in line
    assert f"--pool={worker.pool}" in line
    assert f"--queues={','.join(worker.consumes)}" in line


def test_a_range_becomes_celerys_autoscale() -> None:
    assert "--autoscale=8,2" in run.command(Worker("mail", concurrency=(2, 8)))


def test_several_processes_have_node_names_of_their_own() -> None:
    worker = Worker("mail", processes=3)
    (program,) = supervise.workers([worker])
    assert program.processes == 3
    assert program.command_line.endswith("workers.run mail --process %(process_num)d")
    assert "--hostname=mail-2@%h" in run.command(worker, process=2)


def test_a_worker_may_be_called_like_another_program() -> None:
    programs = [
        supervise.Program("web", ["gunicorn"], "front"),
        *supervise.workers([Worker("web")]),
    ]
    parser = ConfigParser(interpolation=None)
    parser.read_string(supervise.configuration(programs))
    assert {"program:web", "program:worker-web"} <= set(parser.sections())


def test_an_unknown_worker_lists_the_known_ones() -> None:
    result = execute("-m", "workers.run", "nobody")
    assert result.returncode == 2
    assert "'nobody'" in result.stderr
    assert all(worker.name in result.stderr for worker in WORKERS)
    assert "Traceback" not in result.stderr
