"""Answers that mean harm, or come from a clumsy hand: refused or rendered correctly, never half."""

import ast
import json
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from click.testing import Result
from markdown_it import MarkdownIt

from tests.baked import (
    BakedProject,
    command_line,
    given,
    in_process,
    nothing_written,
    problems,
    replies,
)

SLUG = "not a slug;"
QUEUE = "not a name for a worker or a queue;"
NUMBER = "is no number;"
HIDDEN = "cannot be seen;"
UNREAD = "An answer cannot be read: "

# Option, answer on the command line, and a part of the message that refuses it.
REFUSED = [
    # Cookiecutter renders these as Jinja.
    ("queues", "{{", f"{UNREAD}{{{{"),
    ("queues", "{% x", f"{UNREAD}{{% x"),
    ("queues", "# % x", f"{UNREAD}# % x"),
    ("queues", "{# x", f"{UNREAD}{{# x"),
    ("queues", "{{ 1 | nothing }}", f"{UNREAD}{{{{ 1 | nothing }}}}"),
    ("queues", "{{ nothing }}", f"{UNREAD}{{{{ nothing }}}}"),
    ("queues", "{{ 1 / 0 }}", f"{UNREAD}{{{{ 1 / 0 }}}}"),
    ("project_name", "{{ 'a' + 1 }}", f"{UNREAD}{{{{ 'a' + 1 }}}}"),
    ("project_name", "{% include '/etc/passwd' %}", f"{UNREAD}{{% include '/etc/passwd' %}}"),
    ("project_name", "{{ " + "(" * 10_000 + " }}", f"{UNREAD}{{{{ (((("),
    ("project_name", "{{ " + "9" * 10_000 + " }}", f"{UNREAD}{{{{ 9999"),
    ("project_name", "{% if 1 %}" * 200 + "x" + "{% endif %}" * 200, f"{UNREAD}{{% if 1 %}}"),
    ("description", "{{ cookiecutter.clear() }}", UNREAD),
    ("project_name", "{{ '\\x00' }}", rf"'\x00' {HIDDEN}"),
    ("project_slug", "{{ cookiecutter }}", SLUG),
    ("queues", "{{ cookiecutter }}", QUEUE),
    # Out of the folder, or onto something in it.
    ("project_slug", "../../escape", SLUG),
    ("project_slug", "/tmp/escape", SLUG),
    ("project_slug", ".", SLUG),
    ("project_slug", "a/b", SLUG),
    ("project_slug", "a\\b", SLUG),
    ("project_slug", "a/../../b", SLUG),
    ("project_slug", "-rf", SLUG),
    ("project_slug", "$(id)", SLUG),
    ("project_slug", "con", "the name of a device on Windows;"),
    ("project_slug", "NUL", SLUG),
    ("project_slug", "оrder", SLUG),  # the first letter is Cyrillic
    ("project_slug", "order\u2024py", SLUG),
    ("project_slug", "a" * 10_000, "10000 characters;"),
    # What nobody sees, or what moves what they see.
    ("project_name", "\n", "not"),
    ("project_name", "a\r\nb", rf"'\n' {HIDDEN}"),
    ("project_name", "a\x1b[31mb", rf"'\x1b' {HIDDEN}"),
    ("project_name", "\ufefforders", rf"'\ufeff' {HIDDEN}"),
    ("project_name", "a\u202eb", rf"'\u202e' {HIDDEN}"),
    ("project_name", "a\u200bb", rf"'\u200b' {HIDDEN}"),
    ("project_name", "\u200d", "empty;"),
    ("project_name", "\udcff", rf"'\udcff' {HIDDEN}"),
    ("project_name", "a" * 10_000, "10000 characters;"),
    ("description", "a\u2028b", rf"'\u2028' {HIDDEN}"),
    ("description", "a\x7fb", rf"'\x7f' {HIDDEN}"),
    ("description", "a\u00a0b", rf"'\xa0' {HIDDEN}"),
    ("description", "   ", "empty;"),
    ("description", "a" * 10_000, "10000 characters;"),
    ("result_backend", "None", "unknown result backend;"),
    ("result_backend", "redis;", "unknown result backend;"),
    # Queues.
    ("queues", "\n\n", "no worker: "),
    ("queues", ",;,", f"- ;: {QUEUE}"),
    ("queues", "q" * 10_000, "10000 characters;"),
    ("queues", "\x1b[31mred", rf"- \x1b[31mred: {QUEUE}"),
    ("queues", "\ufeffdefault", rf"- \ufeffdefault: {QUEUE}"),
    ("queues", "mаil", QUEUE),  # the second letter is Cyrillic
    ("queues", "mail Mail", f"- Mail: {QUEUE}"),
    ("queues", "../mail", QUEUE),
    ("queues", "mail;reboot", QUEUE),
    ("queues", "mail'\"", QUEUE),
    ("queues", "--all", QUEUE),
    ("queues", "unacked", "a name that Celery uses for itself"),
    ("queues", "mail,mail", "declared 2 times;"),
    ("queues", "mail:Prefork", "unknown pool 'Prefork';"),
    ("queues", "mail:prefork:４", NUMBER),
    ("queues", "mail:prefork:٤", NUMBER),
    ("queues", "mail:prefork:1_0", NUMBER),
    ("queues", "mail:prefork:+4", NUMBER),
    ("queues", "mail:prefork:-4", NUMBER),
    ("queues", "mail:prefork:1e3", NUMBER),
    ("queues", "mail:prefork:0x4", NUMBER),
    ("queues", "mail:prefork:2-", NUMBER),
    ("queues", "mail:prefork:2-4-8", NUMBER),
    ("queues", "mail:prefork:4;", NUMBER),
    ("queues", f"mail:prefork:{10**30}", "is more than it can carry;"),
    ("queues", "mail:prefork:" + "9" * 10_000, NUMBER),
    ("queues", "mail:::", "more than three parts;"),
    # Routes.
    ("task_routes", "__import__('os')=default", "not the name of a task;"),
    ("task_routes", 'a.b": "x=default', "not the name of a task;"),
    ("task_routes", "a.?=default", "not the name of a task;"),
    ("task_routes", "а.b=default", "not the name of a task;"),  # the first letter is Cyrillic
    ("task_routes", "=default", "not the name of a task;"),
    ("task_routes", "orders.tasks.*=default=email", "the queue 'default=email';"),
    ("task_routes", "a.b==default", "the queue '=default';"),
    ("task_routes", "a.b=", "the queue '';"),
    ("task_routes", "a.b:default", "the queue '';"),
    ("task_routes", "a.b = default", "no worker consumes"),
    ("task_routes", "a.b=Default", "the queue 'Default';"),
    ("task_routes", "a.b=default a.b=default", "routed 2 times;"),
]

# The same, typed at the prompts, where nothing is Jinja.
REFUSED_AT_THE_PROMPTS = [
    ("queues", "{{ 7 * 7 }}", QUEUE),
    ("project_slug", "{{ cookiecutter }}", SLUG),
    ("project_slug", "../../escape", SLUG),
    ("project_name", "a\x00b", rf"'\x00' {HIDDEN}"),
    ("project_name", "  ", "empty;"),
    ("description", "a\x08b", rf"'\x08' {HIDDEN}"),
    ("queues", "mail\x1b[A:solo", QUEUE),  # the arrow up, where no line can be edited
    ("result_backend", "2", "unknown result backend;"),
]

# What a name and a description must survive.
TEXTS = [
    'Joe\'s "Größe" \\ {{ x }} {# y #} {% z %} 🎉',
    "Joe’s Orders – “fast”",
    "{{ config.__class__ }}",
    "# % for x in y",
    "'''",
    '"""',
    "'\"'\"",
    "ends with \\",
    "\\n\\x41\\u0041\\N{DIGIT ONE}",
    "%(here)s %s {0} $HOME ${HOME} $$ $(MAKE)",
    "$(touch pwned); `touch pwned` && touch pwned | tee > pwned",
    "<script>alert(1)</script> &amp; <!-- x -->",
    "key: value # comment",
    "- *a* __b__ [c](d) ![e](f) | g ~~h~~",
    "---",
    "1. One",
    "1) One",
    "+ one",
    "=====",
    "null",
    "2024",
    "~",
    "@at !bang &anchor *alias %directive",
    "None",
    "--output-dir",
    "=a=b",
    "👩\u200d💻 می\u200cخواهم e\u0301 Заказы ｆｕｌｌ",
    "Ordеrs",  # one letter is Cyrillic
    "a" * 80,
    "名" * 40,
    "\\" * 40,
]

# Text on the command line, and what it becomes.
EVALUATED = [
    ("{{ 7 * 7 }}", "49"),
    ("{% raw %}{{ x }}{% endraw %}", "{{ x }}"),
    ("50 # % off", "50 # % off"),
    ("  padded  ", "  padded  "),
    ("-o /tmp", "-o /tmp"),
]

SLUGS = ["tests", "config", "none", "class", "a1-b2_c3", "a" * 60]

# Queues, and the names that are declared.
QUEUES = [
    ("class none true import lambda yield", ["class", "none", "true", "import", "lambda", "yield"]),
    ("print id object type super", ["print", "id", "object", "type", "super"]),
    ("con nul all default worker", ["con", "nul", "all", "default", "worker"]),
    ("a_ b__ c1 " + "m" * 40, ["a_", "b__", "c1", "m" * 40]),
    (" ,a,, b,c: , d::, e::1 ", ["a", "b", "c", "d", "e"]),
    ("a\u3000b\u00a0c\u2028d\x1fe", ["a", "b", "c", "d", "e"]),
    ("a:prefork:0004 b:gevent:1-1", ["a", "b"]),
    (" ".join(f"q{number}" for number in range(500)), [f"q{number}" for number in range(500)]),
]

# Routes, and what is declared.
ROUTES = [
    ("*=default", {"*": "default"}),
    ("__proto__=default __class__.x=email", {"__proto__": "default", "__class__.x": "email"}),
    ("a.reset_password=email,a.b-c:d=email", {"a.reset_password": "email", "a.b-c:d": "email"}),
    (f"a.{'b' * 85}=default", {f"a.{'b' * 85}": "default"}),
    (f"a.{'b' * 10_000}=default", {f"a.{'b' * 10_000}": "default"}),
]


def short(value: object) -> str:
    """Return a test's name that a terminal can show."""
    return ascii(value)[:40]


@pytest.mark.parametrize(("option", "answer", "message"), REFUSED, ids=short)
def test_a_nasty_answer_is_refused(tmp_path: Path, option: str, answer: str, message: str) -> None:
    folder = tmp_path / "folder"
    result = in_process(*given(**{option: answer}), folder=folder)
    assert isinstance(result.exception, SystemExit)
    assert_refused(result.exit_code, result.output, message)
    assert nothing_written(folder)
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize(("option", "answer", "message"), REFUSED[::9], ids=short)
def test_a_process_of_its_own_refuses_it_as_well(
    tmp_path: Path, option: str, answer: str, message: str
) -> None:
    result = command_line(*given(**{option: answer}), folder=tmp_path)
    assert_refused(result.returncode, result.stdout + result.stderr, message)
    assert nothing_written(tmp_path)


@pytest.mark.parametrize(("option", "answer", "message"), REFUSED_AT_THE_PROMPTS, ids=short)
def test_a_nasty_answer_at_the_prompts_is_refused(
    tmp_path: Path, option: str, answer: str, message: str
) -> None:
    result = command_line(folder=tmp_path, stdin=replies(**{option: answer}))
    assert_refused(result.returncode, result.stdout + result.stderr, message)
    assert nothing_written(tmp_path)


@pytest.mark.parametrize("text", TEXTS, ids=short)
def test_a_nasty_text_survives(tmp_path: Path, text: str) -> None:
    typed = replies(project_name=text, project_slug="shop", description=text)
    project = rendered(in_process(folder=tmp_path, stdin=typed), tmp_path / "shop")
    assert_says(project, text)


@pytest.mark.parametrize(("text", "expected"), EVALUATED, ids=short)
def test_a_text_on_the_command_line_is_what_jinja_makes_of_it(
    tmp_path: Path, text: str, expected: str
) -> None:
    arguments = given(project_name=text, project_slug="shop", description=text)
    project = rendered(in_process(*arguments, folder=tmp_path), tmp_path / "shop")
    assert_says(project, expected)


@pytest.mark.parametrize("slug", SLUGS, ids=short)
def test_a_slug_may_be_the_name_of_anything_else(tmp_path: Path, slug: str) -> None:
    result = in_process(*given(project_slug=slug), folder=tmp_path)
    assert manifest(rendered(result, tmp_path / slug))["name"] == slug


@pytest.mark.parametrize(("queues", "names"), QUEUES, ids=short)
def test_nasty_queues_are_declared(tmp_path: Path, queues: str, names: list[str]) -> None:
    result = in_process(*given(project_slug="shop", queues=queues), folder=tmp_path)
    assert list(declared(rendered(result, tmp_path / "shop"), "QUEUES")) == names


@pytest.mark.parametrize(("routes", "expected"), ROUTES, ids=short)
def test_nasty_routes_are_declared(tmp_path: Path, routes: str, expected: dict[str, str]) -> None:
    result = in_process(*given(project_slug="shop", task_routes=routes), folder=tmp_path)
    assert declared(rendered(result, tmp_path / "shop"), "ROUTES") == expected


def test_prompts_that_end_early_leave_nothing(tmp_path: Path) -> None:
    result = command_line(folder=tmp_path, stdin="My Shop\n")
    assert result.returncode == 1
    assert "Traceback" not in result.stdout + result.stderr
    assert nothing_written(tmp_path)


def assert_refused(status: int, output: str, message: str) -> None:
    """Hold that a run ended with a short message that names value, reason and remedy."""
    assert status == 1
    assert message in output
    assert "Traceback" not in output
    for line in problems(output):
        assert re.fullmatch(r".+: .+; .+\.", line)
        assert line.isprintable()
        assert len(line) < 500


def rendered(result: Result, path: Path) -> BakedProject:
    """Return a project of which every file is whole."""
    assert result.exit_code == 0, result.output
    assert list(path.parent.iterdir()) == [path]
    project = BakedProject(path)
    for name, content in project.files.items():
        text = content.decode()
        assert "cookiecutter" not in text.replace(".cookiecutter.json", ""), name
        match Path(name).suffix:
            case ".py":
                ast.parse(text)
            case ".toml":
                tomllib.loads(text)
            case ".json":
                json.loads(text)
            case ".yaml" | ".yml":
                list(yaml.safe_load_all(text))
    for command in ("check", "format --check"):
        project.run(sys.executable, "-m", "ruff", *command.split(), "--no-cache", "--quiet", ".")
    return project


def assert_says(project: BakedProject, text: str) -> None:
    """Hold that a text is the project's name and description, to the letter."""
    record = json.loads((project.path / ".cookiecutter.json").read_text())["answers"]
    assert record["project_name"] == record["description"] == text
    assert project.service_name == text
    assert manifest(project)["description"] == text
    shown = [
        token.children
        for token in MarkdownIt().parse((project.path / "README.md").read_text())
        if token.type == "inline" and token.children
    ]
    for letters in shown[:2]:
        assert {letter.type for letter in letters} == {"text"}
        assert "".join(letter.content for letter in letters) == text.strip()
    # Where it is shown, Django escapes it.
    for name, content in project.files.items():
        assert not (name.endswith(".html") and len(text) > 10 and text in content.decode()), name


def manifest(project: BakedProject) -> dict[str, str]:
    """Return the table `project` of pyproject.toml."""
    table: dict[str, str] = tomllib.loads((project.path / "pyproject.toml").read_text())["project"]
    return table


def declared(project: BakedProject, name: str) -> list[str] | dict[str, str]:
    """Return what config/queues.py says, to somebody who imports it."""
    code = f"import json, config.queues as queues; print(json.dumps(queues.{name}))"
    found: list[str] | dict[str, str] = json.loads(project.run(sys.executable, "-c", code))
    return found
