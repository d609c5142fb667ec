"""The rendered README, followed to the letter."""

import re
import shlex
from pathlib import Path

import pytest

from tests.baked import BakedProject, bake
from tests.test_deployments import follow, read_me

WEB = "http://127.0.0.1:8000"


def blocks(text: str, language: str) -> list[str]:
    """Return the code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> BakedProject:
    return bake(tmp_path_factory.mktemp("readme"))


def test_every_command_works(project: BakedProject) -> None:
    readme = (project.path / "README.md").read_text()
    commands = "".join(blocks(readme, "sh")).splitlines()
    assert commands[0] == "make run"
    with project.running() as service:
        for command in commands[1:]:
            # Only the port is another one here.
            output = project.run(*shlex.split(command.replace(WEB, service.url)))
            if command.startswith("curl"):
                assert '"state": "placed"' in output
            if command == "make test":
                assert re.search(r"\d+ passed", output)


def test_every_named_file_exists(project: BakedProject) -> None:
    readme = (project.path / "README.md").read_text()
    made = {".env", ".local/mail/", "uv.lock", ".local/"}
    names = (
        set(re.findall(r"[`(]([\w./]+/|[\w./]+\.(?:py|toml|lock|example)|\.env)[`)]", readme))
        - made
    )
    assert {"config/queues.py", "workers/", ".env.example"} <= names
    for name in names:
        assert (project.path / name).exists() or name == "services.py", name


def test_a_task_and_a_queue_added_as_it_says_run(tmp_path: Path) -> None:
    project = bake(tmp_path)
    project.run("make", "setup")
    for block in blocks((project.path / "README.md").read_text(), "python"):
        title, code = block.split("\n", 1)
        name, _, variable = title.removeprefix("# ").partition(": ")
        if not variable:
            file = project.path / name
            file.write_text(f"{file.read_text()}\n\n{code}")
    for step in read_me(project):
        follow(project, step)
    project.run("make", "lint")
    with project.running() as service:
        code = "from accounts.tasks import count_sessions as t; print(t.delay().get(timeout=120))"
        shown = service.manage("python", "manage.py", "shell", "--verbosity=0", "--command", code)
        assert shown.split()[-1] == "0"
        done = re.compile(r" reports +\S+ Task accounts\.tasks\.count_sessions\S+ succeeded")
        service.wait_for(lambda: done.search(service.log.read_text()), 30)
