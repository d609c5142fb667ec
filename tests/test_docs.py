"""What the pages in docs/ show is there, and what they advise against is not."""

import re
from pathlib import Path

import pytest

from tests.baked import TEMPLATE, bake
from tests.test_readme import RENDERED, TESTS

DOCS = TEMPLATE / "docs"
WALK_THROUGH = (DOCS / "adding-an-option.md").read_text()
RECIPES = dict(
    recipe.split("\n", 1) for recipe in (DOCS / "recipes.md").read_text().split("\n### ")[1:]
)
DECISIONS = re.findall(r"^\*\*(.+?)\*\* ", (DOCS / "decisions.md").read_text(), re.MULTILINE)


def test_the_walk_through_shows_what_is_there() -> None:
    blocks = re.findall(r"^```\n(.+?)^```", WALK_THROUGH, re.DOTALL | re.MULTILINE)
    assert blocks
    for name, *lines in map(str.splitlines, blocks):
        assert lines
        assert set(lines) <= set((TEMPLATE / name).read_text().splitlines())


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_names_the_file_and_the_test_that_replace_it(recipe: str) -> None:
    named = set(re.findall(r"`([^`]+)`", RECIPES[recipe].partition("\n## ")[0]))
    assert named & RENDERED
    assert named & TESTS


def test_no_recipe_stands_in_a_rendered_project(tmp_path: Path) -> None:
    recipes = [without_spaces(recipe) for recipe in RECIPES if re.fullmatch("`[^`]+`", recipe)]
    assert "`stopasgroup=true`" in recipes
    for broker in ("redis", "rabbitmq"):
        for name, content in bake(tmp_path / broker, broker=broker).files.items():
            text = without_spaces(content.decode())
            assert not [recipe for recipe in recipes if recipe.strip("`") in text], name


def without_spaces(text: str) -> str:
    """Return a text as it reads in any style."""
    return re.sub(r"\s", "", text).lower()


def test_a_decision_is_for_one_thing_and_against_another() -> None:
    assert DECISIONS
    assert [decision for decision in DECISIONS if ", not " not in decision] == []


def test_a_project_without_redis_needs_none(tmp_path: Path) -> None:
    files = bake(tmp_path, broker="rabbitmq").files
    assert b"LocMemCache" in files["config/settings/caches.py"]
    for name, content in files.items():
        # workers/ is the same in every project, and tests/ tries a URL of Redis.
        if not name.startswith(("workers/", "tests/")):
            assert b"redis" not in content.lower(), name
