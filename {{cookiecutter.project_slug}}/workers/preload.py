"""What the main process of a prefork worker does before it forks, so that children share memory."""

import gc
from contextlib import suppress
from typing import Any

from billiard import util
from django.db import Error
from django.db import connections as databases

from workers import connections


def before_fork(**kwargs: Any) -> None:
    """Close connections, which must not be shared, and put what is loaded out of gc's reach."""
    first = gc.get_freeze_count() == 0
    if first:
        warm_up()
    connections.close_all()
    if first:
        gc.collect()
        # A collection in a child would write into every object, and so copy its page.
        gc.freeze()


def warm_up() -> None:
    """Load what each child would load for itself."""
    with suppress(OSError):
        # A parser of C, with 14 MB of tables, by which each child asks to end with its parent.
        util.get_pdeathsig()  # type: ignore[attr-defined]  # celery-types lacks it
    for connection in databases.all():
        # The driver, TLS, and what Django makes for a first query: 5 MB. Beside a pool, which would
        # keep threads, and wait for a database that is away.
        apart = connection.copy()
        apart.settings_dict["OPTIONS"].pop("pool", None)
        with suppress(Error), apart.cursor() as cursor:
            cursor.execute("SELECT 1")
        apart.close()
