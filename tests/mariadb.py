"""A real MariaDB of this machine, started for as long as somebody needs it."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import port_for
from mirakuru import TCPExecutor

from tests.servers import PASSWORD


def mariadb_program() -> Path | None:
    """Return MariaDB's server, or None where it is not installed."""
    found = shutil.which("mariadbd", path=f"{os.environ['PATH']}:/usr/sbin")
    return Path(found) if found else None


@contextmanager
def real_mariadb(program: Path, *options: str) -> Iterator[str]:
    """Run MariaDB with a password; yield the URL of an empty database, for a user who may all."""
    port = port_for.select_random()
    # It refuses to run as root, and cannot enter the folders that pytest makes for root.
    root = os.geteuid() == 0
    become = ["runuser", "-u", "mysql", "--"] if root else []
    with tempfile.TemporaryDirectory(prefix="mariadb-") as name:
        folder = Path(name)
        if root:
            shutil.chown(folder, "mysql")
        data, socket = f"--datadir={folder}/data", f"--socket={folder}/socket"
        plain = ["--no-defaults", data, "--auth-root-authentication-method=normal"]
        subprocess.run(
            [*become, "mariadb-install-db", *plain], check=True, capture_output=True, cwd="/"
        )
        network = [f"--port={port}", "--bind-address=127.0.0.1", f"--pid-file={folder}/pid"]
        command = [*become, str(program), "--no-defaults", data, socket, *network, *options]
        with TCPExecutor(command, "127.0.0.1", port, timeout=60, cwd="/"):
            statements = (
                "CREATE DATABASE shop CHARACTER SET utf8mb4; "
                f"CREATE USER shop@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'; "
                f"CREATE USER shop@localhost IDENTIFIED BY '{PASSWORD}'; "
                "GRANT ALL ON *.* TO shop@'127.0.0.1' WITH GRANT OPTION; "
                "GRANT ALL ON *.* TO shop@localhost WITH GRANT OPTION;"
            )
            client = ["mariadb", "--no-defaults", "--user=root", socket]
            subprocess.run(client, input=statements, text=True, check=True, capture_output=True)
            yield f"mysql://shop:{PASSWORD}@127.0.0.1:{port}/shop"
