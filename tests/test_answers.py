"""What the answers mean, and which are refused: through topology.py alone."""

import json
import re
import subprocess
import tomllib
from typing import Any

import pytest
from cookiecutter.exceptions import FailedHookException
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml

from tests.baked import OPTIONS, problems
from topology import Topology, accept, markdown, python, routes_into, rules, slug, toml


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
    return problems(str(refused.value))


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


def test_every_problem_is_named_at_once() -> None:
    lines = refusal(
        project_slug="Order", queues="default:warp:4 io:gevent:0", task_routes="a.*=nowhere"
    )
    assert len(lines) == 4


def test_a_message_shows_no_control_character() -> None:
    lines = refusal(queues="\x1b[31mred", task_routes="a.b=mail")
    assert "one of: \\x1b[31mred." in lines[1]
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("name", ["a b", 'it\'s \\ "$x"', "Größe '\\' \n\x1b[1m 👩\u200d💻"])
def test_a_shell_reads_the_repeated_command_as_it_was_answered(name: str) -> None:
    with pytest.raises(FailedHookException) as refused:
        accept(answers(project_name=name, project_slug="Order"))
    command = str(refused.value).splitlines()[-1]
    shell = ["bash", "-c", f"printf '%s\\0' {command}"]
    words = subprocess.run(shell, env={"LC_ALL": "C.UTF-8"}, capture_output=True, check=True).stdout
    assert f"project_name={name}" in words.decode().split("\0")


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
def test_any_name_has_a_valid_default_slug_or_one_that_is_taken(name: str) -> None:
    found = Topology(answers(project_slug=slug(name))).problems
    assert all("the name of a" in problem.reason for problem in found)


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


@given(
    st.sampled_from(["", "- ", "+ ", "--- ", "1. ", "2) ", "    "]),
    st.text(st.characters(exclude_categories=["C", "Zl", "Zp"])),
)
def test_markdown_shows_a_text_as_it_is(start: str, rest: str) -> None:
    text = start + rest
    page = MarkdownIt().render(markdown(text))
    assert page == (f"<p>{escapeHtml(text.strip())}</p>\n" if text.strip() else "")


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
