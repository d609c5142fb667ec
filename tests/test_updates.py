"""Projects that follow the template, as docs/upgrading.md says: cruft, on real git repositories."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.baked import TEMPLATE, BakedProject, bake

URL = "https://github.com/org/cookiecutter-django-celery"
DOCUMENT = (TEMPLATE / "docs" / "upgrading.md").read_text().replace("\\\n", "")
COMMANDS = "".join(re.findall(r"^```sh\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL))
IDENTITY = {
    f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
}
RENDERED = "{{cookiecutter.project_slug}}"

# What the next version changes: file by file, texts and what takes their place.
NEXT_VERSION = {
    "cookiecutter.json": {
        '"python_version": ["3.13", "3.14"]': '"python_version": ["3.14", "3.13"]',
        '"_template_version": "0.1.0"': '"_template_version": "0.2.0"',
        '  "__prompts__": {': '  "pigeons": ["false", "true"],\n  "__prompts__": {\n"pigeons": "?",',
    },
    "topology.py": {
        '"answers": self._public}': '"answers": self._public, "slots": [w.most for w in self.workers]}',
    },
    f"{RENDERED}/workers/pools.py": {
        '"threads": Pool(concurrency=20': '"threads": Pool(concurrency=30',
    },
    f"{RENDERED}/config/settings/tasks.py": {
        '"interval_max": 1.0': '"interval_max": 0.8',
    },
    f"{RENDERED}/config/queues.py": {"# Every queue once": "# Each queue once"},
    f"{RENDERED}/orders/services.py": {"SEAL_ROUNDS = 600_000": "SEAL_ROUNDS = 700_000"},
    f"{RENDERED}/.github/dependabot.yml": {"version: 2": "version: 2 # and no other"},
}

# Of a worker more, in either file of Compose.
COMPOSED = """\
  worker-mail:
    <<: *{}
    command: [python, -m, {}, mail]
    scale: 1

"""

# What a team changes in the meantime.
OURS = {
    "accounts/models.py": {"Somebody who may log in": "Somebody who has been let in"},
    "compose.yaml": {"services:\n": f"services:\n{COMPOSED.format('worker', 'workers.run')}"},
    "compose.override.yaml": {
        "services:\n": f"services:\n{COMPOSED.format('developed', 'dev.reload, workers.run')}"
    },
    "config/queues.py": {
        "WORKERS = [\n": 'WORKERS = [\n    Worker("mail", pool="threads", concurrency=2),\n',
        "ROUTES: dict[str, str] = {}": 'ROUTES: dict[str, str] = {"orders.tasks.send_*": "mail"}',
    },
    "config/settings/tasks.py": {"LONGEST_COUNTDOWN = 15 *": "LONGEST_COUNTDOWN = 10 *"},
    "orders/services.py": {"# About a quarter of a second of one": "# A while of one"},
}


def change(folder: Path, changes: dict[str, dict[str, str]]) -> None:
    """Replace texts, each of which must be there once."""
    for name, texts in changes.items():
        content = (folder / name).read_text()
        for old, new in texts.items():
            assert content.count(old) == 1, f"{name}: {old}"
            content = content.replace(old, new)
        (folder / name).write_text(content)


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command as somebody without a configuration, who is asked nothing."""
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, **IDENTITY, "HOME": str(folder.parent)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def done(command: str, folder: Path) -> str:
    """Run a command that must succeed, and return what it printed."""
    result = shell(command, folder)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def commit(folder: Path) -> None:
    """Commit everything."""
    done(
        "git init --quiet && git add --all && git commit --quiet --allow-empty --message=x", folder
    )


def documented(start: str, template: Path) -> str:
    """Return the document's shortest command that starts so, for a template of ours."""
    commands = (line for line in COMMANDS.splitlines() if line.startswith(start))
    return min(commands, key=len).replace(URL, str(template)).replace("VERSION", "v1")


def create(template: Path, **answers: str) -> BakedProject:
    """Create a project and commit it as it was rendered."""
    command = f"{documented('cruft create', template)} --no-input"
    done(f"{command} --extra-context '{json.dumps(answers)}'", template.parent)
    project = BakedProject(template.parent / "order-service")
    commit(project.path)
    return project


def switch(project: BakedProject, template: Path, **answers: str) -> None:
    """Switch options as the document says, and commit."""
    command = documented("cruft update --skip-apply-ask --variables", template)
    done(re.sub("'.*'", f"'{json.dumps(answers)}'", command), project.path)
    commit(project.path)


def tracked(project: BakedProject) -> dict[str, bytes]:
    """Return what is committed, but for cruft's own file."""
    names = done("git ls-files", project.path).split()
    return {name: (project.path / name).read_bytes() for name in names if name != ".cruft.json"}


def record(project: BakedProject) -> dict[str, object]:
    """Return what the project records of its template."""
    recorded: dict[str, object] = json.loads(project.files[".cookiecutter.json"])
    return recorded


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A repository with this template as its first version."""
    folder = tmp_path / "template"
    for name in ("cookiecutter.json", "topology.py", "hooks", "templates", RENDERED):
        done(f"mkdir -p {folder} && cp -R '{TEMPLATE / name}' {folder}", tmp_path)
    for cache in [*folder.rglob("__pycache__")]:
        shutil.rmtree(cache)
    commit(folder)
    done("git tag v1", folder)
    return folder


def publish_the_next_version(template: Path) -> None:
    """Commit the next version."""
    change(template, NEXT_VERSION)
    commit(template)


@pytest.mark.long
def test_an_update_keeps_what_the_team_changed_and_uses_the_new_logic(template: Path) -> None:
    project = create(template, database="sqlite", queues="jobs:threads", beat_scheduler="none")
    assert "up to date" in done(documented("cruft check", template), project.path)
    change(project.path, OURS)
    (project.path / ".github" / "dependabot.yml").unlink()
    commit(project.path)
    ours = tracked(project)

    publish_the_next_version(template)
    assert shell(documented("cruft check", template), project.path).returncode == 1
    done(documented("cruft update", template), project.path)
    status = done(documented("git status", template), project.path).splitlines()
    assert status == [
        "M  .cookiecutter.json",
        " M .cruft.json",
        "M  config/settings/tasks.py",
        "M  workers/pools.py",
    ]
    done(documented("cruft check", template), project.path)
    commit(project.path)

    assert record(project)["template_version"] == "0.2.0"
    assert record(project)["slots"] == [30]
    answers = record(project)["answers"]
    assert isinstance(answers, dict)
    assert (answers["python_version"], answers["pigeons"]) == ("3.13", "false")
    theirs = tracked(project)
    changed = {"config/settings/tasks.py", ".cookiecutter.json", "workers/pools.py"}
    assert {name for name in ours | theirs if ours.get(name) != theirs.get(name)} == changed
    settings = theirs["config/settings/tasks.py"].decode()
    assert "LONGEST_COUNTDOWN = 10 *" in settings
    assert '"interval_max": 0.8' in settings
    project.run("make", "setup")
    assert re.search(r"\d+ passed", project.run("make", "test"))


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        ({"beat_scheduler": "none"}, {"beat_scheduler": "file"}, set()),
        ({"beat_scheduler": "file"}, {"beat_scheduler": "none"}, {"config/schedule.py"}),
        ({"result_backend": "redis"}, {"result_backend": "database"}, set()),
        ({}, {"broker": "rabbitmq", "result_backend": "database"}, set()),
        ({"example_app": "false"}, {"example_app": "true"}, set()),
        ({}, {"deployment": "supervisor"}, set()),
        ({"deployment": "supervisor"}, {"deployment": "docker", "use_flower": "false"}, set()),
    ],
    ids=lambda value: " ".join(value.values()) if isinstance(value, dict) else "",
)
def test_switching_an_option_gives_the_project_that_its_answers_render(
    template: Path, before: dict[str, str], after: dict[str, str], kept: set[str]
) -> None:
    project = create(template, queues="jobs:threads", **before)
    switch(project, template, **after)
    rendered = bake(template.parent / "rendered", queues="jobs:threads", **{**before, **after})
    files = tracked(project)
    assert set(files) - set(rendered.files) == kept
    assert {name: files[name] for name in files if name not in kept} == rendered.files


@pytest.mark.parametrize("switched", [False, True])
def test_the_example_is_removed_whether_or_not_an_update_switched_it_off(
    template: Path, switched: bool
) -> None:
    project = create(template)
    if switched:
        switch(project, template, example_app="false")
        assert "orders/models.py" in tracked(project)
    done("python3 -B -m orders.remove", project.path)
    commit(project.path)
    rendered = bake(template.parent / "rendered", example_app="false")
    assert tracked(project) == rendered.files
    done(documented("cruft diff", template), project.path)


def test_a_project_that_cookiecutter_rendered_is_adopted_with_its_answers(template: Path) -> None:
    project = bake(
        template.parent,
        project_name='Joe\'s "Größe" \\ 🎉',
        project_slug="joe",
        database="sqlite",
        beat_scheduler="none",
    )
    commit(project.path)
    publish_the_next_version(template)
    done(documented("cruft link", template), project.path)
    done(documented("cruft diff", template), project.path)
    commit(project.path)
    before = record(project)["answers"]
    assert isinstance(before, dict)

    assert shell(documented("cruft check", template), project.path).returncode == 1
    done(documented("cruft update", template), project.path)
    done(documented("cruft check", template), project.path)
    assert record(project)["answers"] == {**before, "pigeons": "false"}
    assert record(project)["template_version"] == "0.2.0"


@pytest.mark.parametrize("committed", [True, False])
def test_a_conflict_is_where_the_document_says(template: Path, committed: bool) -> None:
    project = create(template)
    settings = "config/settings/tasks.py"
    change(project.path, {settings: {'"interval_max": 1.0': '"interval_max": 0.9'}})
    if not committed:
        shutil.rmtree(project.path / ".git")
    commit(project.path)
    publish_the_next_version(template)
    assert "Good work!" in done(documented("cruft update", template), project.path)
    status = done(documented("git status", template), project.path).splitlines()
    if committed:
        assert f"UU {settings}" in status
        text = project.files[settings].decode()
        assert re.search(r"<<<<<<< .*\n.* 0\.9.*\n=======\n.* 0\.8.*\n>>>>>>> ", text)
    else:
        assert f"?? {settings}.rej" in status
        assert record(project)["template_version"] == "0.2.0"
    done(documented("git reset", template), project.path)
    assert done(documented("git status", template), project.path) == ""
    assert shell(documented("cruft check", template), project.path).returncode == 1


def test_answers_that_cannot_work_change_nothing(template: Path) -> None:
    project = create(template)
    before = project.files
    command = documented("cruft update --skip-apply-ask --variables", template)
    result = shell(re.sub("'.*'", """'{"queues": "jobs:warp"}'""", command), project.path)
    assert result.returncode == 1
    assert "jobs: unknown pool 'warp'" in result.stderr
    assert project.files == before


def test_every_path_that_no_update_touches_is_rendered(tmp_path: Path) -> None:
    for example_app in ("true", "false"):
        for beat_scheduler in ("database", "file", "none"):
            answers = {"example_app": example_app, "beat_scheduler": beat_scheduler}
            project = bake(tmp_path / "-".join(answers.values()), **answers)
            manifest = tomllib.loads(project.files["pyproject.toml"].decode())
            for name in manifest["tool"]["cruft"]["skip"]:
                assert (project.path / name).is_dir() == name.endswith("/"), name
                assert (project.path / name).exists(), name


RENDER_TWICE = """
import os
from pathlib import Path
from cookiecutter.main import cookiecutter

source = Path("template/topology.py")
text = source.read_text()
for version in ("one", "two"):
    source.write_text(text.replace('"template_version"', f'"version_{version}"'))
    os.utime(source, (1_000_000_000, 1_000_000_000))
    cookiecutter("template", no_input=True, output_dir=version, default_config=True)
"""


def test_two_versions_of_one_size_and_second_render_with_their_own_logic(template: Path) -> None:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    subprocess.run(
        [sys.executable, "-c", RENDER_TWICE],
        cwd=template.parent,
        env=environment,
        check=True,
        capture_output=True,
    )
    for version in ("one", "two"):
        project = BakedProject(template.parent / version / "order-service")
        assert f"version_{version}" in record(project)
