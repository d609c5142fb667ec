"""Rendered projects with a second database for what tasks leave behind."""

import re
from pathlib import Path

import pytest

from tests.baked import bake
from tests.test_rendered import failing

# Prints how many rows each model has in each database; None where there is no table.
COUNT = """if 1:
    from django.apps import apps
    from django.db import connections
    for alias in connections:
        tables = connections[alias].introspection.table_names()
        for name in ("orders.Order", "orders.Job", "django_celery_results.TaskResult"):
            model = apps.get_model(name)
            there = model._meta.db_table in tables
            print(alias, name, model.objects.using(alias).count() if there else None)
"""


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param({"result_backend": "database"}, marks=pytest.mark.long),
        pytest.param({"database": "sqlite", "queues": "jobs:threads"}, marks=pytest.mark.long),
        pytest.param(
            {"db_connection": "pool", "result_backend": "database", "example_app": "false"},
            marks=pytest.mark.long,
        ),
    ],
    ids=lambda answers: " ".join(answers.values()),
)
def test_two_databases_pass_their_own_lint_and_tests(
    tmp_path: Path, answers: dict[str, str]
) -> None:
    project = bake(tmp_path, dedicated_task_database="true", **answers)
    project.run("make", "lint")
    assert re.search(r"\d+ passed", project.run("make", "test"))


@pytest.mark.long
def test_two_databases_on_mysql_pass_their_own_tests(tmp_path: Path, mariadb: str) -> None:
    project = bake(tmp_path, database="mysql", dedicated_task_database="true")
    assert "CREATE DATABASE service_tasks" in failing(project, "make", "run")
    named = {"TEST_DATABASE_URL": mariadb, "TEST_TASKS_DATABASE_URL": f"{mariadb}_tasks"}
    assert re.search(r"\d+ passed", project.run("make", "test", **named))


@pytest.mark.parametrize("database", ["postgresql", pytest.param("sqlite", marks=pytest.mark.long)])
def test_jobs_and_results_are_in_the_second_database_alone(tmp_path: Path, database: str) -> None:
    project = bake(
        tmp_path,
        database=database,
        dedicated_task_database="true",
        result_backend="database",
        queues="jobs:threads",
    )
    with project.running() as service:
        assert service.finish(service.place())["state"] == "completed"

        def rows() -> dict[str, str]:
            command = ("python", "manage.py", "shell", "--verbosity=0", "--command", COUNT)
            lines = service.manage(*command).splitlines()
            return dict(line.rsplit(" ", 1) for line in lines)

        # The last result is stored a moment after the last step.
        service.wait_for(lambda: rows()["celery_tasks django_celery_results.TaskResult"] == "3", 30)
        assert rows() == {
            "default orders.Order": "1",
            "default orders.Job": "None",
            "default django_celery_results.TaskResult": "None",
            "celery_tasks orders.Order": "None",
            "celery_tasks orders.Job": "4",
            "celery_tasks django_celery_results.TaskResult": "3",
        }


def test_one_database_for_both_is_refused(tmp_path: Path) -> None:
    project = bake(tmp_path, database="sqlite", dedicated_task_database="true")
    url = f"sqlite:///{tmp_path}/one"
    output = failing(project, "make", "run", DATABASE_URL=url, TASKS_DATABASE_URL=url)
    assert '"DATABASE_URL" and "TASKS_DATABASE_URL" name the same database' in output


def test_the_example_stays_where_nothing_else_would_be_stored(tmp_path: Path) -> None:
    project = bake(tmp_path, dedicated_task_database="true")
    before = project.files
    assert "Nothing was removed" in failing(project, "python3", "-B", "-m", "orders.remove")
    assert project.files == before
