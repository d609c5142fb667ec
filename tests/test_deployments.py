"""What can be said of the files of a deployment before anything runs them."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.baked import OPTIONS, BakedProject, bake
from tests.test_pairs import PAIRS, shown

COMPOSED = [given for given in PAIRS if given["deployment"] == "docker"]


# Sends a task to the worker that the README adds, and what its log says then.
SEND_TO_REPORTS = """
import django
from config.celery import app
django.setup()  # results are rows where there is no Redis
app.send_task("accounts.tasks.remove_expired_sessions", queue="reports")
"""
DONE_BY_REPORTS = re.compile(r"remove_expired_sessions\[.*\] succeeded")


@pytest.fixture
def checked(tmp_path: Path, environment: Any, request: pytest.FixtureRequest) -> BakedProject:
    """A project of the deployment that the test names, ready for `manage.py check`."""
    project = bake(tmp_path, deployment=request.param)
    (project.path / ".venv").symlink_to(environment("5.2"))
    project.run("python", "-m", "dev.setup")
    return project


def check(project: BakedProject) -> str:
    """Return what `manage.py check` says."""
    result = subprocess.run(
        ["python", "-m", "dev.examples", "python", "manage.py", "check"],
        cwd=project.path,
        env=project.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert bool(result.returncode) == ("ERRORS" in result.stderr), result.stderr
    return result.stdout + result.stderr


def read_me(project: BakedProject) -> list[tuple[str, str, str]]:
    """Return what the README says to add for a worker: the file, where in it, and the lines."""
    readme = (project.path / "README.md").read_text()
    section = readme.split("## Add a queue and its worker\n")[1].split("\n## ")[0]
    blocks = re.findall(r"^```\w+\n# ([\w./]+)(?:: ([^\n]+))?\n(.*?)^```$", section, re.M | re.S)
    return [(file, place, lines) for file, place, lines in blocks]


def follow(project: BakedProject, step: tuple[str, str, str]) -> None:
    """Do what the README says."""
    name, place, lines = step
    file = project.path / name
    text = file.read_text()
    match place:
        case "WORKERS":
            changed = text.replace("]\n", f"{lines}]\n", 1)
        case "ROUTES":
            changed = text.replace("= {\n", f"= {{\n{lines}", 1)
        case "services":
            changed = text.replace("services:\n", f"services:\n{lines}\n", 1)
        case "[group:workers]":
            changed = re.sub(r"^programs = .*\n", lines, text, count=1, flags=re.MULTILINE)
        case _:
            changed = f"{text}\n{lines}"
    assert changed != text
    file.write_text(changed)


@pytest.mark.parametrize("checked", OPTIONS["deployment"], indirect=True)
def test_a_worker_is_added_as_the_readme_says_and_no_step_may_be_forgotten(
    checked: BakedProject,
) -> None:
    assert "no issues" in check(checked)
    declare, route, *steps = read_me(checked)
    follow(checked, declare)
    follow(checked, route)
    assert len(steps) == 2
    for file, _, lines in steps:
        told = check(checked)
        assert f"{file} l" in told
        # What is to be pasted.
        assert lines in told
        follow(checked, (file, _, lines))
    assert "no issues" in check(checked)


@pytest.mark.parametrize(
    ("checked", "name", "old", "new", "told"),
    [
        (
            "docker",
            "compose.yaml",
            "    scale: 1\n",
            "    scale: 2\n",
            "compose.yaml lacks `scale: 1` for the worker 'default'.",
        ),
        (
            "docker",
            "compose.yaml",
            "  worker-email:",
            "  worker-mail:",
            "compose.yaml runs the worker 'mail', which config/queues.py does not declare.",
        ),
        (
            "docker",
            "config/limits.py",
            "TASK = 300",
            "TASK = 600",
            "compose.yaml lacks the line `stop_grace_period: 690s`.",
        ),
        (
            "supervisor",
            "deploy/supervisor/supervisord.conf",
            "stopwaitsecs = 330",
            "stopwaitsecs = 30",
            "lacks `stopwaitsecs = 330` for the worker 'default'.",
        ),
        (
            "supervisor",
            "config/limits.py",
            "TASK = 300",
            "TASK = 600",
            "order-service.service lacks the line `TimeoutStopSec=690`.",
        ),
    ],
    indirect=["checked"],
)
def test_a_deployment_that_differs_is_refused(
    checked: BakedProject, name: str, old: str, new: str, told: str
) -> None:
    file = checked.path / name
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    assert told in check(checked)


@pytest.mark.parametrize("given", COMPOSED, ids=shown)
def test_the_files_of_docker_are_well_formed(tmp_path: Path, given: dict[str, str]) -> None:
    project = bake(tmp_path, **given, project_slug="shop")
    schema = [sys.executable, "-m", "check_jsonschema", "--builtin-schema=vendor.compose-spec"]
    project.run(*schema, "compose.yaml", "compose.override.yaml")
    project.run("hadolint", "Dockerfile")
    services = yaml.safe_load((project.path / "compose.yaml").read_text())["services"]
    profiles = {name for service in services.values() for name in service.get("profiles", ())}
    named = re.search(r"^COMPOSE_PROFILES=(.*)$", (project.path / ".env.example").read_text(), re.M)
    assert named
    assert set(named[1].split(",")) == profiles


def test_no_command_waits_or_purges(tmp_path: Path) -> None:
    for deployment in OPTIONS["deployment"]:
        for name, content in bake(tmp_path / deployment, deployment=deployment).files.items():
            if name.startswith(("compose", "Dockerfile", "deploy/")):
                assert not re.search(rb"\bsleep\b(?! ?s?,)|purge|inspect ping", content), name
