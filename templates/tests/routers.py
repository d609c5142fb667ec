"""Two databases, and each table in the one where it belongs."""

from itertools import chain

import pytest
from django.apps import apps
from django.contrib.sessions.models import Session
from django.db import connections, router

from config import routers

pytestmark = pytest.mark.django_db(databases="__all__")

MODELS = apps.get_models(include_auto_created=True)
NAMES = {model: (model._meta.app_label, model._meta.model_name) for model in MODELS}
APART = [model for model in MODELS if routers.is_apart(*NAMES[model])]


def tables(alias: str) -> set[str]:
    """Return the tables of a database, but for Django's own list of what was migrated."""
    return {*connections[alias].introspection.table_names()} - {"django_migrations"}


def test_each_table_is_in_its_own_database_and_in_no_other() -> None:
    apart = {model._meta.db_table for model in APART}
    assert apart
    assert tables(routers.TASKS) == apart
    assert not tables(routers.DEFAULT) & apart


def test_what_is_named_exists() -> None:
    known = {*chain.from_iterable((app, f"{app}.{model}") for app, model in NAMES.values())}
    assert known >= routers.STORED_APART


def test_reads_and_writes_go_where_the_table_is() -> None:
    for model in MODELS:
        alias = routers.TASKS if model in APART else routers.DEFAULT
        assert (router.db_for_read(model), router.db_for_write(model)) == (alias, alias)


def test_a_relation_stays_within_one_database() -> None:
    here, there = Session(), APART[0]()
    assert not router.allow_relation(here, there)
    assert router.allow_relation(here, Session())


def test_another_database_is_not_ours_to_say() -> None:
    assert routers.TaskRouter().allow_migrate("another", "sessions", "session") is None
