"""What somebody sees who runs cookiecutter: good answers, bad answers, and the way back."""

import json
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
from pytest_cookies.plugin import Cookies

from tests.baked import (
    OPTIONS,
    TEMPLATE,
    BakedProject,
    command_line,
    given,
    nothing_written,
    problems,
    replies,
)

BAD = {"queues": "default:warp:4 io:gevent:0", "task_routes": "a.*=nowhere"}
PROBLEMS = [
    "default: unknown pool 'warp'; choose one of: prefork, gevent, threads, eventlet, solo.",
    "io: concurrency 0 starts below 1; use 1 or more.",
    "a.*=nowhere: no worker consumes the queue 'nowhere'; route it to one of: default, io.",
]


def is_refused(result: subprocess.CompletedProcess[str], folder: Path) -> bool:
    """Tell whether a run ended with a message, and wrote nothing."""
    assert "Traceback" not in result.stdout + result.stderr
    return result.returncode == 1 and nothing_written(folder)


@pytest.mark.parametrize("options", [[], ["--accept-hooks", "no"], ["--output-dir", "out"]])
def test_bad_answers_are_refused_before_anything_is_written(
    tmp_path: Path, options: list[str]
) -> None:
    result = command_line(*given(**BAD), *options, folder=tmp_path)
    assert is_refused(result, tmp_path)
    assert problems(result.stdout) == PROBLEMS


def test_bad_answers_at_the_prompts_are_refused_as_well(tmp_path: Path) -> None:
    typed = replies(project_name="My Shop", worker_pool="gevent", **BAD)
    result = command_line(folder=tmp_path, stdin=typed)
    assert is_refused(result, tmp_path)
    assert problems(result.stdout) == PROBLEMS
    assert "project_name='My Shop'" in result.stdout
    assert "worker_pool=gevent" in result.stdout


def test_bad_answers_are_refused_from_python_as_well(cookies: Cookies) -> None:
    result = cookies.bake(extra_context=BAD)
    assert problems(str(result.exception)) == PROBLEMS
    assert result.project_path is None


def test_the_repeated_command_gives_the_same_answers(tmp_path: Path) -> None:
    name = """Joe's "Shop" \\ {{ x }} {# y #} 🎉"""
    typed = replies(project_name=name, project_slug="shop", **BAD)
    result = command_line("--output-dir", "out", folder=tmp_path, stdin=typed)
    command = result.stdout.strip().splitlines()[-1]
    assert shlex.split(command)[:3] == ["cookiecutter", str(TEMPLATE), "--no-input"]

    corrected = command.replace(":warp:4", "").replace("io:gevent:0", "io:gevent:5")
    words = shlex.split(corrected.replace("nowhere", "io"))
    assert command_line(*words[2:], folder=tmp_path).returncode == 0
    project = tmp_path / "out" / "shop"
    assert '"a.*": "io"' in (project / "config" / "queues.py").read_text()
    assert BakedProject(project).service_name == name


def test_changing_the_queues_alone_is_never_refused_for_the_example_routes(tmp_path: Path) -> None:
    result = command_line("--no-input", "queues=jobs:threads", folder=tmp_path)
    assert result.returncode == 0
    assert (
        "ROUTES: dict[str, str] = {}"
        in (tmp_path / "order-service" / "config" / "queues.py").read_text()
    )


def test_the_meaning_of_the_answers_is_shown(tmp_path: Path) -> None:
    result = command_line(
        "--no-input", "queues=jobs calls:gevent:2-8", "task_routes=a.call_*=calls", folder=tmp_path
    )
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["jobs", "jobs", "prefork", "4", "1", "4", "persistent", "everything", "else"] in rows
    assert ["calls", "calls", "gevent", "2-8", "1", "pool", "of", "8", "a.call_*"] in rows


def test_a_misspelt_option_shows_in_what_was_chosen(tmp_path: Path) -> None:
    result = command_line("--no-input", "brocker=rabbitmq", folder=tmp_path)
    assert "broker=redis" in result.stdout.split()
    assert "brocker" not in result.stdout


def test_the_answers_are_recorded_with_the_template_s_version(tmp_path: Path) -> None:
    result = command_line("--no-input", "queues=jobs:threads", folder=tmp_path)
    assert result.returncode == 0
    record = json.loads((tmp_path / "order-service" / ".cookiecutter.json").read_text())
    manifest = tomllib.loads((TEMPLATE / "pyproject.toml").read_text())
    assert record["template_version"] == manifest["project"]["version"]
    assert list(record["answers"]) == [name for name in OPTIONS if not name.startswith("_")]
    assert record["answers"]["queues"] == "jobs:threads"
    assert str(TEMPLATE) not in json.dumps(record)


@pytest.mark.parametrize("replay", ["--replay", "--replay-file"])
def test_a_replay_renders_the_same_bytes(tmp_path: Path, replay: str) -> None:
    answers = {"project_name": 'Joe\'s "Größe" \\ 🎉', "project_slug": "joe", "broker": "rabbitmq"}
    assert command_line(*given(**answers), folder=tmp_path).returncode == 0
    recorded = tmp_path / "home" / ".cookiecutter_replay" / f"{TEMPLATE.name}.json"
    if replay == "--replay-file":
        kept = recorded.rename(tmp_path / "home" / "kept.json")
        replay = f"--replay-file={kept}"
    result = command_line(replay, "--output-dir", "again", folder=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert BakedProject(tmp_path / "again" / "joe").files == BakedProject(tmp_path / "joe").files
