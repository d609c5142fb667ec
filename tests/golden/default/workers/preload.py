"""What the main process of a prefork worker does before it forks, so that children share memory."""

import gc
from contextlib import suppress
from typing import Any

from billiard import util

from workers import connections


def before_fork(**kwargs: Any) -> None:
    """Close connections, which must not be shared, and put what is loaded out of gc's reach."""
    connections.close_all()
    if gc.get_freeze_count():
        return
    with suppress(OSError):
        # Loads a parser of C, with 14 MB of tables, by which each child asks to end with its parent.
        util.get_pdeathsig()  # type: ignore[attr-defined]  # celery-types lacks it
    gc.collect()
    # A collection in a child would write into every object, and so copy its page.
    gc.freeze()
