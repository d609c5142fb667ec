"""The template's README says what is true."""

import ast
import re
from pathlib import Path

import pytest

from tests.baked import OPTIONS, SOURCES, TEMPLATE, command_line

README = (TEMPLATE / "README.md").read_text()
DOCUMENTS = [TEMPLATE / "README.md", *sorted((TEMPLATE / "docs").rglob("*.md"))]
# Every test, the template's and the rendered project's.
TESTS = {
    node.name
    for folder in (TEMPLATE / "tests", TEMPLATE / "templates" / "tests", SOURCES / "tests")
    for path in folder.rglob("*.py*")
    if path.suffix != ".pyc"
    for node in ast.walk(ast.parse(path.read_text()))
    if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
}
# Every file and folder of a rendered project, whatever was answered.
RENDERED = {
    re.sub(r"\{%.*?%\}", "", path.relative_to(SOURCES).as_posix()) for path in SOURCES.rglob("*")
}


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table under a heading."""
    section = README.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_promise_names_tests_that_exist() -> None:
    promises = rows("What holds")
    assert promises
    for promise, named in promises:
        names = re.findall(r"`(test_\w+)`", named)
        assert names, promise
        assert set(names) <= TESTS


def test_the_table_of_options_is_the_list_of_questions() -> None:
    table = {cells[0].strip("`"): cells[1].strip("`") for cells in rows("What it asks")}
    questions = {name: value for name, value in OPTIONS.items() if not name.startswith("_")}
    assert list(table) == list(questions)
    for name, value in questions.items():
        if isinstance(value, list):
            assert table[name] == value[0]
        elif "{{" not in value and table[name]:
            assert table[name] == value


def test_the_refusal_is_shown_as_it_is(tmp_path: Path) -> None:
    (sample,) = re.findall(r"(These answers cannot work.*?corrected:\n)", README, re.DOTALL)
    answers = ["queues=default:warp:4 io:gevent:0", "task_routes=a.*=nowhere"]
    assert sample in command_line("--no-input", *answers, folder=tmp_path).stdout


@pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda document: document.relative_to(TEMPLATE).as_posix()
)
def test_every_command_file_and_test_it_names_exists(document: Path) -> None:
    text = document.read_text()
    makefile = (TEMPLATE / "Makefile").read_text() + (SOURCES / "Makefile").read_text()
    for target in re.findall(r"make ([a-z][a-z-]*[a-z])", text):
        if target not in ("and", "install"):
            assert f"\n{target}:" in makefile, target
    # Without those that stand for others, such as CHOICE.py, and the demo's.
    for name in re.findall(r"`([\w.{}-]+/[\w./-]*(?<![A-Z]\.py)(?<![A-Z]\.yml))`", text):
        assert (TEMPLATE / name).exists() or name.rstrip("/") in {*RENDERED, "build/demo"}, name
    for name in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (document.parent / name).exists(), name
    assert set(re.findall(r"`(test_\w+)`", text)) <= TESTS
