"""Rendered projects on MySQL, or rather on a real MariaDB."""

import re
from pathlib import Path

import pytest

from tests.baked import bake
from tests.test_rendered import failing

# Sends a task to a worker, ends the session that it used, and sends it again; ends a session in
# mid-query.
KILL = """if 1:
    from django.db import connection
    from accounts.tasks import session, wait
    first = session.delay().get(timeout=60)
    with connection.cursor() as cursor:
        cursor.execute("KILL %s", [first[0]])
    second = session.delay().get(timeout=60)
    print(first[0] != second[0], first[1:], second[1:])
    waiting = wait.delay()
    with connection.cursor() as cursor:
        while not cursor.execute(
            "SELECT id FROM information_schema.processlist WHERE info LIKE 'SELECT sleep%'"
        ):
            pass
        cursor.execute("KILL %s", cursor.fetchone())
    print(waiting.get(timeout=60))
"""
SESSION = """

@shared_task
def session() -> list[object]:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT connection_id(), @@tx_isolation, @@sql_mode LIKE '%STRICT_ALL%'")
        return list(cursor.fetchone())


@shared_task
def wait() -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT sleep(3)")
        return int(cursor.fetchone()[0])
"""


@pytest.mark.long
def test_mysql_passes_its_own_lint_and_tests(tmp_path: Path, mariadb: str) -> None:
    project = bake(tmp_path, database="mysql", result_backend="database")
    project.run("make", "lint")
    assert re.search(r"\d+ passed", project.run("make", "test", TEST_DATABASE_URL=mariadb))


@pytest.mark.parametrize("command", ["run", "test"])
def test_mysql_that_nobody_named_comes_with_the_command_that_starts_one(
    tmp_path: Path, command: str
) -> None:
    project = bake(tmp_path, database="mysql")
    output = failing(project, "make", command)
    assert "\n  docker run --detach" in output
    for prefix in ("", "TEST_"):
        line = f"\n  {prefix}DATABASE_URL=mysql://root:mysql@127.0.0.1:3306/service\n"
        assert line in output


@pytest.mark.long
@pytest.mark.parametrize("pool", ["gevent", "prefork", "threads"])
def test_an_order_goes_to_its_end_on_mysql(tmp_path: Path, mariadb: str, pool: str) -> None:
    project = bake(tmp_path, database="mysql", queues=f"jobs:{pool}:4")
    with project.running(DATABASE_URL=mariadb) as service:
        assert service.finish(service.place())["state"] == "completed"


@pytest.mark.long
def test_a_killed_session_is_replaced_by_one_like_it_and_its_task_runs_again(
    tmp_path: Path, mariadb: str
) -> None:
    project = bake(tmp_path, database="mysql", queues="jobs:prefork:1")
    with (project.path / "accounts" / "tasks.py").open("a") as file:
        file.write(SESSION)
    with project.running(DATABASE_URL=mariadb) as service:
        command = ("python", "manage.py", "shell", "--verbosity=0", "--command", KILL)
        *_, shown, waited = service.manage(*command).splitlines()
        assert service.finish(service.place())["state"] == "completed"
    session = ["READ-COMMITTED", 1]
    assert (shown, waited) == (f"True {session} {session}", "0")
