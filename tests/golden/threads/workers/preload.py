"""What the main process of a prefork worker does before it forks, so that children share memory."""

import gc
from typing import Any

from workers import connections


def before_fork(**kwargs: Any) -> None:
    """Close connections, which must not be shared, and put what is loaded out of gc's reach."""
    connections.close_all()
    if not gc.get_freeze_count():
        gc.collect()
        # A collection in a child would write into every object, and so copy its page.
        gc.freeze()
