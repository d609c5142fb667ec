"""The rules that keep the template readable, as docs/ states them."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.baked import OPTIONS, SOURCES, TEMPLATE, BakedProject, bake

FILES = [path for path in sorted(SOURCES.rglob("*")) if path.is_file()]
PARTIALS = [path for path in sorted((TEMPLATE / "templates").rglob("*")) if path.is_file()]
WORKERS = [path for path in FILES if path.relative_to(SOURCES).parts[0] == "workers"]
COPIED = {path for path in FILES if path.suffix == ".html" or path in WORKERS}
RENDERED = [path for path in (*FILES, *PARTIALS) if path not in COPIED]

STATEMENT = re.compile(r"^[ \t]*# % .*$", re.MULTILINE)
CONDITION = re.compile(r"^[ \t]*# % (?:if|elif)\b|\{\{[^}]*\bif\b[^}]*\}\}", re.MULTILINE)


def named(path: Path) -> str:
    return str(path.relative_to(TEMPLATE))


@pytest.mark.parametrize("path", RENDERED, ids=named)
def test_only_line_statements_are_used(path: Path) -> None:
    text = path.read_text()
    assert "{%" not in text
    # A formatter writes `# %`, which would make of this a silent comment.
    assert "#%" not in text


@pytest.mark.parametrize("path", RENDERED, ids=named)
def test_a_file_has_three_conditions_at_most(path: Path) -> None:
    name = path.relative_to(TEMPLATE).as_posix()
    assert len(CONDITION.findall(path.read_text())) + name.count("{% if") <= 3


@pytest.mark.parametrize(
    "path", [path for path in (*FILES, *PARTIALS) if ".py" in path.suffix], ids=named
)
def test_a_source_of_the_template_parses(path: Path) -> None:
    ast.parse(path.read_text())


def test_a_formatter_changes_nothing() -> None:
    command = ["ruff", "format", "--isolated", "--no-cache", "--line-length=100", "--diff"]
    # One by one: conditional names end in a way that the formatter would pass over in a folder.
    files = [path for path in (*FILES, *PARTIALS) if ".py" in path.suffix]
    assert files
    result = subprocess.run(
        [sys.executable, "-m", *command, *files], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout


def test_a_formatter_changes_nothing_in_django_s_templates() -> None:
    templates = sorted(SOURCES.rglob("*.html"))
    assert templates
    result = subprocess.run(
        ["djade", "--target-version=5.2", "--check", *templates],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("path", WORKERS, ids=named)
def test_workers_hold_no_jinja_and_stay_small(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"\{\{|\{%|\{#|# %", text)
    assert len(text.splitlines()) <= 150


@pytest.mark.parametrize("deployment", OPTIONS["deployment"])
@pytest.mark.parametrize("broker", OPTIONS["broker"])
def test_workers_stay_small_in_all(tmp_path: Path, broker: str, deployment: str) -> None:
    project = bake(tmp_path, broker=broker, deployment=deployment)
    files = [content for name, content in project.files.items() if name.startswith("workers/")]
    assert len(files) < len(WORKERS)
    assert sum(len(content.splitlines()) for content in files) <= 4_700


@pytest.mark.parametrize("path", [path for path in WORKERS if ".py" in path.suffix], ids=named)
def test_workers_know_no_app(path: Path) -> None:
    apps = {child.name for child in SOURCES.iterdir() if (child / "apps.py").exists()} - {"workers"}
    for node in ast.walk(ast.parse(path.read_text())):
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        assert not {module.partition(".")[0] for module in modules} & apps


def test_packages_that_must_load_nothing_are_empty() -> None:
    for package in ("config", "workers"):
        assert (SOURCES / package / "__init__.py").read_text() == ""


@pytest.mark.parametrize("path", FILES, ids=named)
def test_a_file_name_works_everywhere(path: Path) -> None:
    name = path.relative_to(SOURCES).as_posix()
    assert not re.search(r'[<>:"\\|?*\x00-\x1f]', re.sub(r"\{[{%].*?[%}]\}", "", name))


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> BakedProject:
    return bake(tmp_path_factory.mktemp("rules"))


def test_nothing_of_the_template_is_left_behind(rendered: BakedProject) -> None:
    for name, content in rendered.files.items():
        text = content.decode()
        assert "cookiecutter" not in text.replace(".cookiecutter.json", "").lower(), name
        assert str(TEMPLATE) not in text, name
        assert not STATEMENT.search(text), name
        if not name.endswith(".html"):
            # GitHub's expressions are the one exception.
            assert "{{" not in text.replace("${{", ""), name
            assert "{%" not in text, name


def test_text_files_are_tidy(rendered: BakedProject) -> None:
    for name, content in rendered.files.items():
        text = content.decode()
        assert not re.search(r"[ \t]$", text, re.MULTILINE), name
        assert "\n\n\n\n" not in text, name
        assert text == "" or text.endswith("\n"), name
        assert not (name.endswith(".md") and re.search(r"[^\n]\n## ", text)), name
        assert not text.endswith("\n\n"), name
