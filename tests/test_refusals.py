"""Every rule about the answers: what is refused, with which line, and nothing on disk."""

import ast
import trace
from pathlib import Path

import pytest
from cookiecutter.exceptions import FailedHookException

import topology
from tests.baked import SOURCES, bake, command_line, given, nothing_written, problems
from tests.test_answers import answers

NAME = "not a name for a worker or a queue; start with a letter, then lower-case letters, digits and underscores."
TASK = "not the name of a task; write a task's name such as app.tasks.send, or a glob such as app.tasks.*."
SLUG = "not a slug; use lower-case letters and digits, a letter first, with single - or _ between."
TAKEN = "the name of a package that the project depends on; choose another, such as"
NUMBER = "the concurrency is no number; give a number, or a range such as 2-8."
INVISIBLE = "cannot be seen; write one line of visible text."
NO_AUTOSCALE = "give one number, or a pool that can: prefork, gevent, eventlet."
QUEUES = "route it to one of: cpu_heavy, default, email, io_heavy."

# Answers, and the one line that refuses them.
REFUSALS: list[tuple[dict[str, str], str]] = [
    ({"project_name": ""}, "project_name '': empty; write one line of visible text."),
    ({"project_name": " "}, "project_name ' ': empty; write one line of visible text."),
    ({"project_name": "a\nb"}, rf"project_name 'a\nb': '\n' {INVISIBLE}"),
    ({"project_name": "a\x1b[2Jb"}, rf"project_name 'a\x1b[2Jb': '\x1b' {INVISIBLE}"),
    ({"project_name": "\udcff"}, rf"project_name '\udcff': '\udcff' {INVISIBLE}"),
    ({"project_name": "é" * 81}, f"project_name '{'é' * 46}…: 81 columns wide; use at most 80."),
    ({"project_name": "名" * 41}, f"project_name '{'名' * 41}': 82 columns wide; use at most 80."),
    ({"project_name": "a" * 201}, f"project_name '{'a' * 46}…: 201 characters; use at most 200."),
    ({"description": "\u200d"}, r"description '\u200d': empty; write one line of visible text."),
    ({"description": "a\u202eb"}, rf"description 'a\u202eb': '\u202e' {INVISIBLE}"),
    ({"description": "d" * 201}, f"description '{'d' * 47}…: 201 characters; use at most 200."),
    ({"project_slug": ""}, f"'': {SLUG}"),
    ({"project_slug": "Order"}, f"Order: {SLUG}"),
    ({"project_slug": "../order"}, f"../order: {SLUG}"),
    ({"project_slug": "a--b"}, f"a--b: {SLUG}"),
    ({"project_slug": "1a"}, f"1a: {SLUG}"),
    ({"project_slug": "a" * 61}, f"{'a' * 60}…: 61 characters; use at most 60."),
    ({"project_slug": "django"}, f"django: {TAKEN} django-service."),
    ({"project_slug": "pytest_django"}, f"pytest_django: {TAKEN} pytest_django-service."),
    ({"project_slug": "gevent"}, f"gevent: {TAKEN} gevent-service."),
    (
        {"project_slug": "con"},
        "con: the name of a device on Windows; choose another, such as con-service.",
    ),
    (
        {"db_connection": "pool", "database": "sqlite"},
        "db_connection pool: sqlite cannot do that; choose one of: persistent, per_task, or postgresql.",
    ),
    (
        {"db_connection": "pgbouncer", "database": "sqlite"},
        "db_connection pgbouncer: sqlite cannot do that; choose one of: persistent, per_task, or postgresql.",
    ),
    (
        {"db_connection": "pool", "database": "mysql"},
        "db_connection pool: mysql cannot do that; choose one of: persistent, per_task, or postgresql.",
    ),
    (
        {"db_connection": "pgbouncer", "database": "mysql"},
        "db_connection pgbouncer: mysql cannot do that; choose one of: persistent, per_task, or postgresql.",
    ),
    (
        {"dedicated_task_database": "true", "example_app": "false"},
        "dedicated_task_database true: nothing would be stored there; choose result_backend=database or example_app=true, or leave it out.",
    ),
    (
        {"result_backend": "memcached"},
        "memcached: unknown result backend; choose one of: redis, database, none.",
    ),
    (
        {"result_backend": ""},
        "'': unknown result backend; choose one of: redis, database, none.",
    ),
    ({"queues": ""}, "no worker: a task would wait for ever; declare at least one."),
    ({"queues": "Mail"}, f"Mail: {NAME}"),
    ({"queues": "1mail"}, f"1mail: {NAME}"),
    ({"queues": "mail-fast"}, f"mail-fast: {NAME}"),
    ({"queues": "пошта"}, f"пошта: {NAME}"),
    ({"queues": ":prefork"}, f"'': {NAME}"),
    ({"queues": "m" * 41}, f"{'m' * 41}: 41 characters; use at most 40."),
    (
        {"queues": "unacked"},
        "unacked: a name that Celery uses for itself in Redis; choose another, such as unacked_tasks.",
    ),
    (
        {"queues": "beat"},
        "beat: the name of what sends periodic tasks; choose another, such as beat_tasks.",
    ),
    (
        {"queues": "flower"},
        "flower: the name of what shows workers; choose another, such as flower_tasks.",
    ),
    ({"queues": "mail mail"}, "mail: declared 2 times; keep one of each name."),
    (
        {"queues": "mail:warp"},
        "mail: unknown pool 'warp'; choose one of: prefork, gevent, threads, eventlet, solo.",
    ),
    ({"queues": "mail:prefork:0"}, "mail: concurrency 0 starts below 1; use 1 or more."),
    ({"queues": "mail:prefork:0-2"}, "mail: concurrency 0-2 starts below 1; use 1 or more."),
    ({"queues": "mail:prefork:8-2"}, "mail: concurrency 8-2 ends below its start; write 2-8."),
    (
        {"queues": "mail:prefork:99999"},
        "mail: concurrency 99999 is more than it can carry; use at most 10000.",
    ),
    (
        {"queues": "mail:prefork:many"},
        f"mail:prefork:many: {NUMBER}",
    ),
    (
        {"queues": "mail:prefork:-1"},
        f"mail:prefork:-1: {NUMBER}",
    ),
    (
        {"queues": "mail:prefork:٣"},
        f"mail:prefork:٣: {NUMBER}",
    ),
    (
        {"queues": "mail:prefork:4:9"},
        "mail:prefork:4:9: more than three parts; write name:pool:concurrency.",
    ),
    ({"queues": "mail:::"}, "mail:::: more than three parts; write name:pool:concurrency."),
    ({"queues": "mail:threads:2-8"}, f"mail: the pool 'threads' cannot autoscale; {NO_AUTOSCALE}"),
    ({"queues": "mail:solo:1-1"}, f"mail: the pool 'solo' cannot autoscale; {NO_AUTOSCALE}"),
    (
        {"queues": "mail:solo:2"},
        "mail: concurrency 2 is more than it can carry; use at most 1.",
    ),
    (
        {"queues": "mail::2", "worker_pool": "solo"},
        "mail: concurrency 2 is more than it can carry; use at most 1.",
    ),
    (
        {"queues": "mail:gevent:2-8 jobs", "broker": "rabbitmq"},
        "mail: quorum queues of RabbitMQ do not support autoscale; give one number, such as 8.",
    ),
    (
        {"task_routes": "a.b=nowhere"},
        f"a.b=nowhere: no worker consumes the queue 'nowhere'; {QUEUES}",
    ),
    ({"task_routes": "a.b"}, f"a.b=: no worker consumes the queue ''; {QUEUES}"),
    ({"task_routes": "=email"}, f"=email: {TASK}"),
    ({"task_routes": "a[b]=email"}, f"a[b]=email: {TASK}"),
    (
        {"task_routes": "a.b=email a.b=default"},
        "a.b: routed 2 times; keep one route for each task.",
    ),
]
# The first row of each option.
ONE_EACH = {tuple(changes): (changes, line) for changes, line in reversed(REFUSALS)}.values()


@pytest.mark.parametrize(("changes", "line"), REFUSALS)
def test_an_answer_that_cannot_work_is_refused(
    tmp_path: Path, changes: dict[str, str], line: str
) -> None:
    with pytest.raises(FailedHookException) as refused:
        bake(tmp_path, **changes)
    assert problems(str(refused.value)) == [line]
    assert nothing_written(tmp_path)


@pytest.mark.parametrize(("changes", "line"), ONE_EACH)
def test_the_command_line_refuses_it_with_the_same_line(
    tmp_path: Path, changes: dict[str, str], line: str
) -> None:
    result = command_line(*given(**changes), folder=tmp_path)
    assert problems(result.stdout) == [line]
    assert result.returncode == 1
    assert nothing_written(tmp_path)


def test_every_rule_has_a_row() -> None:
    tracer = trace.Trace(trace=False)
    for changes, _ in REFUSALS:
        tracer.runfunc(lambda given: topology.Topology(answers(**given)).problems, changes)
    reached = tracer.results().counts
    for source in (Path(topology.__file__), SOURCES / "workers" / "worker.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Problem":
                assert (str(source), node.lineno) in reached, ast.unparse(node)
