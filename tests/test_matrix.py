"""A thousand tasks under each strategy, database and pool that the prompts allow.

`make matrix` runs every row, prints them and writes them down; `make test` runs a fifth of them.
"""

import json
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.baked import OPTIONS, TEMPLATE
from tests.pgbouncer import MAX_CLIENTS, SERVER_CONNECTIONS, real_pgbouncer
from tests.probed import Probed, Sqlite, Watched, bouncing, mariadb, postgresql, probed
from topology import pools

RESULTS = TEMPLATE / "benchmarks" / "results" / "connections.json"
TASKS = 1_000
SIZES = {"prefork": 4, "gevent": 50, "threads": 8, "eventlet": 50, "solo": 1}


@dataclass(frozen=True)
class Row:
    """One combination."""

    database: str
    strategy: str
    pool: str

    def __str__(self) -> str:
        return f"{self.database} {self.strategy} {self.pool}"


ROWS = [
    Row(database, strategy, pool)
    for database, facts in OPTIONS["_databases"].items()
    for strategy, pool in product(facts["strategies"], pools.POOLS)
]
# A fifth, by sixes, so that each strategy, each database and each pool is among them.
SELECTION = [ROWS[6 * number % len(ROWS)] for number in range(len(ROWS) // 5)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Take a fifth of the rows, or all."""
    if "row" in metafunc.fixturenames:
        every = metafunc.config.getoption("--matrix")
        metafunc.parametrize("row", ROWS if every else SELECTION, ids=str)


@contextmanager
def watched(row: Row, folder: Path, request: pytest.FixtureRequest) -> Iterator[Watched]:
    """Make an empty database of a row, and watch what is opened."""
    with ExitStack() as stack:
        if row.database == "sqlite":
            yield Sqlite(folder / "rows.sqlite3")
            return
        if row.database == "mysql":
            yield stack.enter_context(mariadb(request.getfixturevalue("mariadb")))
            return
        name = f"test_{uuid.uuid4().hex}"
        url = request.getfixturevalue("postgresql_url")
        database = stack.enter_context(postgresql(url, name))
        if row.strategy == "pgbouncer":
            program = request.getfixturevalue("pgbouncer")
            bouncer = stack.enter_context(real_pgbouncer(program, url))
            yield stack.enter_context(bouncing(bouncer, database))
            # However many clients there were, the server saw few.
            assert database.open <= SERVER_CONNECTIONS
        else:
            yield database


def most_open(project: Probed, worker: psutil.Process, database: Watched) -> int:
    """Wait for every task, and return the most connections that were open meanwhile."""
    most = 0

    def are_done() -> bool:
        nonlocal most
        most = max(most, database.open)
        return bool(project.ledger.hlen("done") == TASKS)

    project.wait_for(are_done, worker, 300)
    return most


def test_connections_stay_within_the_budget(
    row: Row, tmp_path: Path, environment: Any, redis_url: str, request: pytest.FixtureRequest
) -> None:
    with watched(row, tmp_path, request) as database:
        project = probed(
            tmp_path,
            environment("5.2"),
            database.url,
            redis_url,
            database=row.database,
            db_connection=row.strategy,
            queues=f"jobs:{row.pool}:{SIZES[row.pool]}",
        )
        budget = project.budget()
        with project.working() as worker:
            if isinstance(database, Sqlite):
                database.processes.append(worker)
            before = database.opened
            project.touch(TASKS)
            most = most_open(project, worker, database)
            opened, turns = database.opened - before, project.turns()
        log = project.output()
    assert set(project.ledger.hvals("started")) == {"1"}
    assert "Couldn't ack" not in log
    assert " ERROR " not in log
    assert most <= budget
    if row.strategy in ("persistent", "pool") and row.database == "postgresql":
        assert opened <= 2 * SIZES[row.pool] + turns
    record(request, {**vars(row), "tasks": TASKS, "budget": budget, "peak": most, "opened": opened})


def record(request: pytest.FixtureRequest, figures: dict[str, Any]) -> None:
    """Print a row's figures, and write them down where every row is run."""
    counted = "-" if figures["database"] == "sqlite" else figures["opened"]
    figures = {**figures, "opened": counted}
    print(" ".join(f"{name}={value}" for name, value in figures.items()), flush=True)
    if request.config.getoption("--matrix"):
        rows = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
        key = ("database", "strategy", "pool")
        kept = [row for row in rows if any(row[name] != figures[name] for name in key)]
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps([*kept, figures], indent=1) + "\n")


def test_the_selection_has_every_kind() -> None:
    assert len(set(SELECTION)) * 5 >= len(ROWS)
    for field in ("database", "strategy", "pool"):
        assert {getattr(row, field) for row in SELECTION} == {getattr(row, field) for row in ROWS}


def test_the_document_shows_the_committed_run() -> None:
    lines = (TEMPLATE / "docs" / "connections" / "README.md").read_text().splitlines()
    counted = json.loads(RESULTS.read_text())
    assert {Row(each["database"], each["strategy"], each["pool"]) for each in counted} == set(ROWS)
    for each in counted:
        (line,) = (x for x in lines if x.startswith(f"| {each['database']} `{each['strategy']}` |"))
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        shown = dict(zip(pools.POOLS, cells[1:], strict=True))[each["pool"]]
        assert shown == f"{each['opened']} / {each['peak']} / {each['budget']}"
        assert each["peak"] <= each["budget"]


def test_a_budget_over_what_the_server_allows_is_refused(
    tmp_path: Path,
    environment: Any,
    postgresql_url: str,
    pgbouncer: Path,
    redis_url: str,
) -> None:
    with (
        postgresql(postgresql_url, f"test_{uuid.uuid4().hex}") as database,
        real_pgbouncer(pgbouncer, postgresql_url) as bouncer,
        bouncing(bouncer, database) as bounced,
    ):
        direct = probed(
            tmp_path / "direct",
            environment("5.2"),
            database.url,
            redis_url,
            queues="small:prefork:2 large:prefork:3",
        )
        direct.declare("concurrency=3)", "concurrency=300)")
        refusal = direct.refused("python", "manage.py", "check", "--database", "default")
        assert "(workers.E009) This deployment may open 314 connections" in refusal
        assert "server allows 197" in refusal
        assert "shrink 'large'" in refusal

        behind = probed(
            tmp_path / "behind",
            environment("5.2"),
            bounced.url,
            redis_url,
            db_connection="pgbouncer",
            queues="large:threads:3",
        )
        behind.declare("concurrency=3)", "concurrency=300)")
        refusal = behind.refused("python", "manage.py", "check", "--database", "default")
        assert f"server allows {MAX_CLIENTS}" in refusal

        with real_pgbouncer(pgbouncer, postgresql_url, tells=False) as silent:
            behind.environment["DATABASE_URL"] = silent.url
            warning = behind.run("python", "manage.py", "check", "--database", "default")
        assert "(workers.W001) PgBouncer does not say how many connections" in warning
        assert "Name this user in `stats_users`" in warning
