"""What the answers mean, and which are refused: through topology.py alone."""

import json
import re
import tomllib
from typing import Any

import pytest
from cookiecutter.exceptions import FailedHookException
from hypothesis import given
from hypothesis import strategies as st

from tests.baked import TEMPLATE
from topology import Topology, accept, python, routes_into, rules, slug, toml

OPTIONS = json.loads((TEMPLATE / "cookiecutter.json").read_text())
QUEUES = OPTIONS["queues"]


def answers(**changes: str) -> dict[str, Any]:
    """Return the default answers with these changes."""
    defaults = {
        name: value[0] if isinstance(value, list) and not name.startswith("_") else value
        for name, value in OPTIONS.items()
    }
    return {
        **defaults,
        "project_slug": "order-service",
        "result_backend": "redis",
        "task_routes": "",
        **changes,
    }


def refusal(**changes: str) -> list[str]:
    """Return the lines of the problems that answers are refused for."""
    with pytest.raises(FailedHookException) as refused:
        accept(answers(**changes))
    return [line[4:] for line in str(refused.value).splitlines() if line.startswith("  - ")]


def workers(queues: str, pool: str = "prefork") -> list[tuple[Any, ...]]:
    """Return (name, pool, concurrency) of each worker."""
    declared = Topology(answers(queues=queues, worker_pool=pool)).workers
    return [(worker.name, worker.pool, worker.concurrency) for worker in declared]


def test_a_queue_is_a_name_a_pool_and_a_concurrency() -> None:
    assert workers("a b:gevent c:threads:8 d:gevent:10-50") == [
        ("a", "prefork", 4),
        ("b", "gevent", 100),
        ("c", "threads", 8),
        ("d", "gevent", (10, 50)),
    ]


@pytest.mark.parametrize(
    ("pool", "concurrency"),
    [("prefork", 4), ("gevent", 100), ("threads", 20), ("eventlet", 100), ("solo", 1)],
)
def test_a_queue_that_names_no_pool_gets_the_answered_one(pool: str, concurrency: int) -> None:
    assert workers("a b::1", pool) == [("a", pool, concurrency), ("b", pool, 1)]


@pytest.mark.parametrize("queues", ["a,b", "a, b", " a  b ", "a\tb\n", ",a,,b,"])
def test_spaces_and_commas_separate_queues(queues: str) -> None:
    assert [name for name, *_ in workers(queues)] == ["a", "b"]


@pytest.mark.parametrize(
    ("queues", "reason"),
    [
        ("", "no worker: a task would wait for ever; declare at least one."),
        ("Mail", "Mail: not a name for a worker or a queue;"),
        ("1mail", "1mail: not a name"),
        ("mail-fast", "mail-fast: not a name"),
        ("пошта", "пошта: not a name"),
        (":prefork", ": not a name"),
        ("m" * 41, f"{'m' * 41}: 41 characters; use at most 40."),
        ("mail mail", "mail: declared 2 times; keep one of each name."),
        ("mail:warp", "mail: unknown pool 'warp'; choose one of: prefork, gevent, threads,"),
        ("mail:prefork:0", "mail: concurrency 0 starts below 1; use 1 or more."),
        ("mail:prefork:8-2", "mail: concurrency 8-2 ends below its start; write 2-8."),
        ("mail:prefork:0-2", "mail: concurrency 0-2 starts below 1;"),
        (
            "mail:prefork:99999",
            "mail: concurrency 99999 is more than it can carry; use at most 10000.",
        ),
        ("mail:prefork:many", "mail:prefork:many: the concurrency 'many' is no number;"),
        ("mail:prefork:-1", "mail:prefork:-1: the concurrency '-1' is no number;"),
        ("mail:prefork:٣", "mail:prefork:٣: the concurrency '٣' is no number;"),
        ("mail:prefork:4:9", "mail:prefork:4:9: more than three parts;"),
        ("mail:threads:2-8", "mail: the pool 'threads' cannot autoscale;"),
        ("mail:solo:2", "mail: concurrency 2 is more than it can carry; use at most 1."),
    ],
)
def test_a_queue_that_cannot_work_is_refused(queues: str, reason: str) -> None:
    (problem,) = refusal(queues=queues)
    assert problem.startswith(reason)


def test_rabbitmq_refuses_autoscale() -> None:
    (problem,) = refusal(broker="rabbitmq", queues="mail:gevent:2-8 jobs")
    assert problem.startswith("mail: quorum queues of RabbitMQ do not support autoscale;")


@pytest.mark.parametrize(
    ("routes", "reason"),
    [
        ("a.b=nowhere", "a.b=nowhere: no worker consumes the queue 'nowhere'; route it to one of:"),
        ("a.b", "a.b=: no worker consumes the queue '';"),
        ("=email", "=email: not the name of a task;"),
        ("a[b]=email", "a[b]=email: not the name of a task;"),
        ("a.b=email a.b=default", "a.b: routed 2 times; keep one route for each task."),
    ],
)
def test_a_route_that_cannot_work_is_refused(routes: str, reason: str) -> None:
    (problem,) = refusal(task_routes=routes)
    assert problem.startswith(reason)


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("project_slug", "Order", "Order: not a slug;"),
        ("project_slug", "../order", "../order: not a slug;"),
        ("project_slug", "a--b", "a--b: not a slug;"),
        ("project_slug", "", ": not a slug;"),
        ("project_slug", "a" * 61, "61 characters; use at most 60."),
        ("project_slug", "django", "django: the name of a package that the project depends on;"),
        ("project_slug", "pytest_django", "pytest_django: the name of a package"),
        ("project_slug", "gevent", "gevent: the name of a package"),
        ("project_name", "", "project_name '': not one line of text;"),
        ("project_name", "a\nb", "not one line of text;"),
        ("project_name", "a\x1b[2Jb", "not one line of text;"),
        ("project_name", "\udcff", "not one line of text;"),
        ("result_backend", "memcached", "choose one of: redis, database, none."),
        ("description", "d" * 201, "201 characters; use at most 200."),
    ],
)
def test_a_text_that_cannot_be_used_is_refused(option: str, value: str, reason: str) -> None:
    (problem,) = refusal(**{option: value})
    assert reason in problem


def test_every_problem_is_named_at_once() -> None:
    problems = refusal(
        project_slug="Order", queues="default:warp:4 io:gevent:0", task_routes="a.*=nowhere"
    )
    assert len(problems) == 4


def test_the_default_routes_follow_the_answered_queues() -> None:
    routes = "orders.tasks.render_*=cpu_heavy orders.tasks.call_*=io_heavy"
    assert routes_into(routes, "io_heavy:gevent cpu", "true") == "orders.tasks.call_*=io_heavy"
    assert routes_into(routes, "io_heavy:warp:0", "true") == "orders.tasks.call_*=io_heavy"
    assert routes_into(routes, "", "true") == ""
    assert routes_into(routes, "io_heavy", "false") == ""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Order Service", "order-service"),
        ("Überweisung & Söhne", "uberweisung-sohne"),
        ("42 Things", "things"),
        ("🎉", "service"),
        ("a" * 80, "a" * 60),
    ],
)
def test_the_default_slug_is_valid(name: str, expected: str) -> None:
    assert slug(name) == expected
    accept(answers(project_name=name, project_slug=slug(name)))


@given(st.text())
def test_any_name_has_a_valid_default_slug_or_one_that_a_package_has(name: str) -> None:
    problems = list(Topology(answers(project_slug=slug(name))).problems)
    assert all("package" in problem.reason for problem in problems)


WORDS = st.lists(
    st.text()
    | st.from_regex(
        r"[a-z][a-z0-9_]{0,5}(:(prefork|gevent|threads|warp))?(:[0-9-]{1,4})?", fullmatch=True
    )
    | st.from_regex(r"[a-z.*]{1,8}=[a-z]{1,3}", fullmatch=True)
).map(" ".join)


@given(queues=WORDS, task_routes=WORDS)
def test_any_text_is_understood_or_refused_with_a_message(queues: str, task_routes: str) -> None:
    given_answers = answers(queues=queues, task_routes=task_routes)
    topology = Topology(given_answers)
    if topology.problems:
        with pytest.raises(FailedHookException, match="cannot work") as refused:
            accept(given_answers)
        str(refused.value).encode()
    else:
        accept(given_answers)
        assert rules.problems(topology.workers, topology.routes) == []
        assert [worker.name for worker in topology.workers] == [
            word.partition(":")[0] for word in re.split(r"[\s,]+", queues) if word
        ]
        assert set(topology.routes.values()) <= {worker.name for worker in topology.workers}


@given(st.text(st.characters(exclude_categories=["C", "Zl", "Zp"])))
def test_a_quoted_text_is_the_text(text: str) -> None:
    assert eval(python(text)) == text
    assert tomllib.loads(f"x = {toml(text)}")["x"] == text
    assert json.loads(toml(text)) == text


def test_every_option_and_choice_has_a_label() -> None:
    labels = OPTIONS["__prompts__"]
    for name, value in OPTIONS.items():
        if not name.startswith("_"):
            assert labels[name]
            if isinstance(value, list):
                assert set(labels[name]) == {"__prompt__", *value}


def test_every_pool_of_the_rules_is_an_option_and_has_a_row() -> None:
    assert list(rules.POOLS) == OPTIONS["worker_pool"] == list(OPTIONS["_pools"])
