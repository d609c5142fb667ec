"""Connections go to PgBouncer in transaction mode, which shares a few of the server's among all."""

from config.settings.databases import DATABASES

# workers/connections.py gives each back after its task.
DATABASE_CONNECTION = "pgbouncer"

for _database in DATABASES.values():
    # PgBouncer keeps the server's connections open, and a greenlet could not keep one to PgBouncer.
    _database["CONN_MAX_AGE"] = 0
    # Between two transactions the server's connection may become another one, without the cursor.
    _database["DISABLE_SERVER_SIDE_CURSORS"] = True
