"""A throwaway PgBouncer in transaction mode."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import port_for
from mirakuru import TCPExecutor

# More clients than any worker of the tests has slots; far fewer connections to the server.
MAX_CLIENTS = 200
SERVER_CONNECTIONS = 5


@dataclass(frozen=True)
class PgBouncer:
    """A running PgBouncer.

    url: what a project connects to.
    log: a file with a line for each login.
    """

    url: str
    log: Path

    @property
    def logins(self) -> int:
        """How many clients have logged in since it started, but for its console's."""
        lines = self.log.read_text().splitlines()
        return sum("login attempt: " in line and "db=pgbouncer " not in line for line in lines)


def pgbouncer_program() -> Path | None:
    """Return PgBouncer, or None where it is not installed."""
    found = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    return Path(found) if found else None


@contextmanager
def real_pgbouncer(program: Path, database: str, *, tells: bool = True) -> Iterator[PgBouncer]:
    """Run PgBouncer in front of the PostgreSQL that a URL names.

    tells: whether the user may ask it for its figures.
    """
    port, server = port_for.select_random(), urlsplit(database)
    user, password = server.username or "", unquote(server.password or "")
    become = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="pgbouncer-") as name:
        folder = Path(name)
        (folder / "users.txt").write_text(f'"{user}" "{password}"\n')
        (folder / "pgbouncer.ini").write_text(
            f"""[databases]
* = host={server.hostname} port={server.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
logfile = {folder}/log
auth_type = scram-sha-256
auth_file = {folder}/users.txt
stats_users = {user if tells else "nobody"}
pool_mode = transaction
max_client_conn = {MAX_CLIENTS}
default_pool_size = {SERVER_CONNECTIONS}
ignore_startup_parameters = extra_float_digits
"""
        )
        (folder / "log").touch()
        if become:
            for path in (folder, *folder.iterdir()):
                shutil.chown(path, "postgres")
        command = [*become, str(program), "-q", str(folder / "pgbouncer.ini")]
        with TCPExecutor(command, "127.0.0.1", port, timeout=30, cwd="/"):
            url = server._replace(netloc=f"{user}:{server.password}@127.0.0.1:{port}").geturl()
            yield PgBouncer(url, folder / "log")
