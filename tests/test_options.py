"""docs/options.md says what the options, the refusals and Cookiecutter do."""

import json
import re
from pathlib import Path

import pytest

from tests.baked import (
    OPTIONS,
    SOURCES,
    TEMPLATE,
    BakedProject,
    bake,
    command_line,
    given,
    in_process,
    nothing_written,
)
from tests.test_answers import answers
from tests.test_refusals import REFUSALS
from topology import Topology

PAGE = (TEMPLATE / "docs" / "options.md").read_text()
QUESTIONS = [name for name in OPTIONS if not name.startswith("_")]
# Text by heading.
SECTIONS = dict(section.split("\n\n", 1) for section in PAGE.split("\n## ")[1:])
# The rows of facts about an option's choices.
TABLES = {
    "django_version": "_django_versions",
    "database": "_databases",
    "db_connection": "_db_connections",
    "dedicated_task_database": "_dedicated_task_databases",
    "broker": "_brokers",
    "result_backend": "_result_backends",
    "example_app": "_example_apps",
    "worker_pool": "_pools",
    "beat_scheduler": "_beat_schedulers",
    "deployment": "_deployments",
    "use_flower": "_flower",
}


def quoted(text: str) -> list[str]:
    """Return what a text has between backticks."""
    return re.findall(r"`([^`]+)`", text)


def section(option: str) -> str:
    """Return what the page says of an option."""
    return SECTIONS[f"`{option}`"]


def table(output: str) -> list[str]:
    """Return the names of the workers in the table that is shown after rendering."""
    lines = output.partition("worker ")[2].partition("\n\n")[0].splitlines()[1:]
    return [line.split()[0] for line in lines]


def test_every_option_has_a_section_and_nothing_else_has() -> None:
    *options, last = SECTIONS
    assert options == [f"`{name}`" for name in QUESTIONS]
    assert last == "What Cookiecutter does with an answer"


def test_every_choice_is_named_the_default_first(tmp_path: Path) -> None:
    record = json.loads((bake(tmp_path).path / ".cookiecutter.json").read_text())["answers"]
    for option in QUESTIONS:
        named = quoted(section(option).partition("\n\n")[0])
        assert named[0] == record[option]
        choices = OPTIONS[TABLES.get(option, option)]
        assert isinstance(choices, str) or named == list(choices)


def test_every_package_that_a_choice_adds_is_named() -> None:
    for option, facts in TABLES.items():
        for row in OPTIONS[facts].values():
            for requirement in row.get("requirements", ()):
                name = re.split(r"[^\w-]", requirement)[0]
                assert name == "django" or f"adds `{name}`" in section(option), requirement


def test_every_refusal_is_named_and_nothing_else_is() -> None:
    """A row of test_refusals.py has its reason in bold, under the first option that it answers."""
    reasons: dict[str, set[str]] = {}
    for changes, _ in REFUSALS:
        found = {problem.reason for problem in Topology(answers(**changes)).problems}
        reasons.setdefault(next(iter(changes)), set()).update(found)
    for option in QUESTIONS:
        refused = re.findall(r"\*\*(.+?)\*\*", section(option))
        said = {
            reason for reason in reasons.get(option, ()) for words in refused if words in reason
        }
        assert said == reasons.get(option, set())
        assert all(any(words in reason for reason in reasons[option]) for words in refused)


@pytest.mark.parametrize("heading", SECTIONS)
def test_nothing_is_said_of_an_option_that_does_not_exist(heading: str) -> None:
    for option in re.findall(r"`(\w+)=\w+`", SECTIONS[heading]):
        assert option in (*QUESTIONS, "option", "task", "quees", "__accepted")


def test_an_unknown_option_is_ignored_and_the_table_shows_it(tmp_path: Path) -> None:
    misspelt = command_line(*given(quees="mail"), folder=tmp_path / "misspelt")
    assert table(misspelt.stdout) == ["default", "cpu_heavy", "io_heavy", "email"]
    right = command_line(*given(queues="mail"), folder=tmp_path / "right")
    assert table(right.stdout) == ["mail"]


def test_an_unknown_choice_is_cookiecutter_s_own_error(tmp_path: Path) -> None:
    result = in_process(*given(broker="kafka"), folder=tmp_path)
    assert isinstance(result.exception, ValueError)
    assert str(OPTIONS["broker"]) in str(result.exception)
    assert nothing_written(tmp_path)


def test_the_private_answer_skips_every_refusal(tmp_path: Path) -> None:
    result = in_process(*given(queues="mail:warp", __accepted="yes"), folder=tmp_path)
    assert result.exit_code == 0
    declaration = (tmp_path / "order-service" / "config" / "queues.py").read_text()
    assert 'pool="warp"' in declaration


def test_a_replay_is_not_checked_and_asks_only_for_what_it_lacks(tmp_path: Path) -> None:
    assert command_line(*given(queues="mail"), folder=tmp_path).returncode == 0
    (replay,) = (tmp_path / "home" / ".cookiecutter_replay").iterdir()
    recorded = json.loads(replay.read_text())
    recorded["cookiecutter"]["queues"] = "mail:warp"
    recorded["cookiecutter"]["_databases"]["postgresql"]["example"] = "postgresql://older"
    del recorded["cookiecutter"]["beat_scheduler"]
    replay.write_text(json.dumps(recorded))

    result = command_line("--replay", "--output-dir", "again", folder=tmp_path, stdin="3\n")
    assert result.returncode == 0, result.stdout
    assert result.stdout.count("Choose from") == 1
    project = BakedProject(tmp_path / "again" / "order-service")
    assert b'pool="warp"' in project.files["config/queues.py"]
    assert b"postgresql://older" in project.files[".env.example"]
    assert "config/schedule.py" not in project.files


def test_without_hooks_what_the_answers_leave_out_stays(tmp_path: Path) -> None:
    arguments = [*given(example_app="false"), "--accept-hooks", "no"]
    result = command_line(*arguments, folder=tmp_path)
    assert table(result.stdout) == []
    without = BakedProject(tmp_path / "order-service").files
    expected = bake(tmp_path / "hooks", example_app="false").files
    assert expected.items() <= without.items()
    rows = [row for facts in TABLES.values() for row in OPTIONS[facts].values()]
    left_out = [path for row in rows for path in row.get("left_out", ())]
    assert {name for name in without if name.startswith(tuple(left_out))} == (
        without.keys() - expected.keys()
    )
    for path in left_out:
        name = f"{path}/" if (SOURCES / path).is_dir() else path
        assert f"`{name}`" in SECTIONS["What Cookiecutter does with an answer"]
