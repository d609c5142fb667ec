"""Connections to the database are opened for each request and each task, and closed after it."""

from config.settings.databases import DATABASES

# workers/connections.py closes them.
DATABASE_CONNECTION = "per_task"

for _database in DATABASES.values():
    _database["CONN_MAX_AGE"] = 0
