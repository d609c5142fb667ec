"""Whole rendered trees, kept so that a reviewer sees what a change does to users.

`make golden` renders them anew.
"""

import shutil
from pathlib import Path

import pytest

from tests.baked import BakedProject, bake

GOLDEN = Path(__file__).parent / "golden"
ANSWERS = {
    "default": {},
    "threads": {
        "project_name": 'Joe\'s "Größe" \\ Jobs',
        "project_slug": "jobs",
        "description": "One queue; quotes ' and \", a backslash \\ and an emoji 🎉.",
        "queues": "jobs:threads",
        "deployment": "supervisor",
    },
}


@pytest.mark.parametrize("name", ANSWERS)
def test_the_tree_is_the_one_that_was_reviewed(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    rendered = bake(tmp_path, **ANSWERS[name])
    if request.config.getoption("--refresh-golden"):
        shutil.rmtree(GOLDEN / name, ignore_errors=True)
        shutil.copytree(rendered.path, GOLDEN / name)
    golden = BakedProject(GOLDEN / name).files
    assert list(rendered.files) == list(golden), "files; `make golden` takes them over"
    for path, content in rendered.files.items():
        assert content.decode() == golden[path].decode(), f"{path}; `make golden` takes it over"


def test_the_same_answers_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = (bake(tmp_path / str(number)) for number in range(2))
    assert first.files == second.files
