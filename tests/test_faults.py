"""The fault suite: a short selection of its cells, and what its table promises."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.baked import TEMPLATE
from tests.faults import numbers, report
from tests.faults.__main__ import BY_CODE, FAULTS, FULL, main, pages
from tests.faults.cells import BROKERS, EVERY_POOL, POOLS, Cell, full, once_per_broker
from tests.faults.controls import CONTROLS
from tests.faults.harness import Harness
from tests.faults.projects import Projects
from tests.faults.report import Results, Row, table
from tests.faults.servers import Servers
from tests.faults.verdicts import DEGRADED, NOT_YET

PAGE = (TEMPLATE / "docs" / "faults.md").read_text()
# Quick ones, of each broker.
SELECTION = ["P2-rabbitmq-threads", "W5-redis-prefork"]
LONG = ["W12-rabbitmq-threads", "P3-redis-prefork"]


@pytest.fixture(scope="module")
def harness(environment: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """The harness, on an environment that other tests use as well."""
    folder = tmp_path_factory.mktemp("faults")
    with ExitStack() as stack:
        interpreter: Path = environment("5.2")  # type: ignore[operator]
        servers = Servers(stack, folder / "servers")
        yield Harness(servers, Projects(folder / "projects", interpreter), folder, numbers.SHORT)


@pytest.mark.parametrize(
    "name", [*SELECTION, *(pytest.param(name, marks=pytest.mark.long) for name in LONG)]
)
@pytest.mark.usefixtures("redis_server", "postgresql", "rabbitmq_server")
@pytest.mark.xdist_group("faults")
def test_a_fault_loses_nothing_and_doubles_nothing(harness: Harness, name: str) -> None:
    code, broker, pool = name.split("-")
    row = harness.run(Cell(BY_CODE[code], broker, pool))
    # In words, which pytest shows as a whole.
    assert row.verdict == "proven", str(row)


def test_each_fault_of_the_matrix_has_a_cell_on_each_broker_or_a_reason() -> None:
    matrix = {"W": 13, "B": 10, "P": 6, "D": 7, "T": 7, "S": 6}
    codes = {f"{letter}{number + 1}" for letter, most in matrix.items() for number in range(most)}
    assert set(BY_CODE) | set(NOT_YET) == codes
    assert not set(BY_CODE) & set(NOT_YET)
    cells = once_per_broker(FAULTS)
    assert [(c.fault.code, c.broker) for c in cells] == [
        (f.code, b) for f in FAULTS for b in BROKERS
    ]
    for cell in full(FAULTS):
        assert cell.not_applicable or cell.pool in cell.fault.pools


def test_the_pools_take_turns() -> None:
    turns = [cell.pool for cell in once_per_broker(FAULTS) if not cell.not_applicable]
    assert max(map(turns.count, POOLS)) <= 2 * min(map(turns.count, POOLS))


def test_the_full_run_has_every_pool_where_it_must() -> None:
    names = {cell.name for cell in full(FAULTS)}
    assert {f"{code}-{b}-{p}" for code in EVERY_POOL for b in BROKERS for p in POOLS} <= names


def test_a_cell_that_is_not_proven_is_on_the_page_with_its_reason() -> None:
    for name in DEGRADED:
        assert re.search(rf"^\| {name} \| .{{40,}} \|$", PAGE, re.MULTILINE)
    for code in NOT_YET:
        assert f"{code} (" in PAGE


def test_each_mechanism_has_a_control() -> None:
    named = {control.mechanism for control in CONTROLS}
    assert named == {"late-ack", "outbox", "unique-key", "poison-guard", "pool-size"}
    for control in CONTROLS:
        assert not control.cell(BY_CODE).not_applicable


def test_an_interrupted_run_goes_on_where_it_has_ended(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.jsonl")
    results.add(Row("W4-redis-solo", "KILL", "FAILED", problems=["1 lost"]))
    results.add(Row("W4-redis-solo", "KILL", "proven", accepted=200))
    (row,) = Results(results.file).rows().values()
    assert row.good
    assert "| W4-redis-solo | KILL | 200 |" in table([row])


def test_the_pages_show_what_the_full_run_has_found() -> None:
    for page, shown in pages(Results(FULL)).items():
        assert report.written(page.read_text(), shown) == page.read_text(), page


def test_a_summary_adds_up() -> None:
    rows = [
        Row("W1-redis-solo", "TERM", "proven", accepted=200, duplicates=1, recovery=5.0),
        Row("W4-redis-solo", "KILL", "proven", accepted=300, duplicates=2, recovery=7.0),
        Row("W5-redis-solo", "a child", "n/a"),
    ]
    shown = report.summary(rows)
    assert "| a worker | 2 proven, 1 n/a | 500 | 0 | 0 | 0 | 3 | 7 s |" in shown
    assert "the broker" not in shown


def test_an_unknown_cell_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["W99"])
    assert "no cell is called 'W99'" in capsys.readouterr().err
