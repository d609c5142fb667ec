"""The benchmarks measure what they say, for every variant, and hide no miss."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.__main__ import main
from benchmarks.figures import THROUGHPUT, Round, Target
from benchmarks.measures import ALL, Measure
from tests.baked import TEMPLATE

DOCUMENT = (TEMPLATE / "docs" / "benchmarks.md").read_text()
QUICK = ("select", "delay-redis")


@pytest.mark.usefixtures("redis_server", "postgresql")
@pytest.mark.long
def test_a_quick_run_has_every_figure_of_every_variant(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "--quick", "--results", str(tmp_path), *QUICK]
    result = subprocess.run(command, cwd=TEMPLATE, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr

    page = (tmp_path / "results.md").read_text()
    measures = json.loads((tmp_path / "results.json").read_text())["measures"]
    assert list(measures) == list(QUICK)
    for measure in (measure for measure in ALL if measure.name in QUICK):
        (found,) = measures[measure.name]["rounds"]
        section = page.split(f"### {measure.name}\n")[1].partition("\n### ")[0]
        for variant in measure.variants:
            assert f"\n| {variant.name} | " in section
            assert found[variant.name][measure.figures[0].name] > 0
            assert not found[variant.name].get("tasks failed")
        assert (
            set(found["ours"]) == set(found["stock"]) == {figure.name for figure in measure.figures}
        )
        assert len(measures[measure.name]["targets"]) == len(measure.targets)
    assert (tmp_path / "results.png").read_bytes().startswith(b"\x89PNG")


def test_an_unknown_measure_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["nonsense"])
    assert "unknown: nonsense" in capsys.readouterr().err


@pytest.mark.parametrize("measure", ALL, ids=lambda measure: measure.name)
def test_a_target_is_about_what_is_measured(measure: Measure) -> None:
    variants = {variant.name for variant in measure.variants}
    for target in measure.targets:
        assert {target.of, target.than or target.of} <= variants
        assert target.figure in measure.figures


def test_a_missed_target_is_shown_as_missed() -> None:
    measure = next(measure for measure in ALL if measure.name == "select")
    rounds: list[Round] = [
        {
            variant.name: {figure.name: 3.0 for figure in measure.figures}
            for variant in measure.variants
        }
    ]
    rows = report.summary([measure], {"select": rounds}).splitlines()
    assert "| select | ours: tasks/s ≥ 5 × stock | 1 × | ✗ missed |" in rows
    assert "| select | ours: connections, opened ≤ 12 | 3 | ✓ |" in rows


def test_a_ratio_is_of_rounds_and_a_number_of_the_worst() -> None:
    pairs = [(100, 20), (40, 10), (30, 10)]
    rounds: list[Round] = [
        {"ours": {"tasks/s": ours}, "stock": {"tasks/s": stock}} for ours, stock in pairs
    ]
    assert Target(THROUGHPUT, 4, "stock").reached(rounds) == 4
    assert Target(THROUGHPUT, 4, "stock").holds(rounds)
    assert Target(THROUGHPUT, 35).reached(rounds) == 30
    assert not Target(THROUGHPUT, 35).holds(rounds)


def test_every_measure_and_variant_is_explained() -> None:
    explained = set(re.findall(r"^\| `([^`]+)` \|", DOCUMENT, re.MULTILINE))
    variants = {variant.name for measure in ALL for variant in measure.variants}
    numbered = {"ours x 1", "ours x 4"}  # as `ours x 2`
    assert explained == {measure.name for measure in ALL} | variants - numbered


def test_the_readme_shows_the_targets_of_the_committed_run() -> None:
    page = (TEMPLATE / "benchmarks" / "results" / "results.md").read_text()
    targets = page.split("## Targets\n\n")[1].split("\n\n## ")[0]
    assert len(targets.splitlines()) == 2 + sum(len(measure.targets) for measure in ALL)
    assert f"\n{targets}\n" in (TEMPLATE / "README.md").read_text()
