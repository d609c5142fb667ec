"""Connections to the database stay open: between requests, and between tasks."""

from config.environment import env
from config.settings.databases import DATABASES

# workers/connections.py does the same around tasks, where Celery would close them.
DATABASE_CONNECTION = "persistent"

# One that is older is replaced, so that none outlives a change of what the server's name stands for.
# Seconds.
DATABASE_MAX_AGE = env.int("DATABASE_MAX_AGE", default=600)

# % if cookiecutter.database == "postgresql"
# A greenlet ends with its task, and cannot keep one: the greenlets of a worker share a pool of at most
# so many.
DATABASE_POOL_SIZE = env.int("DATABASE_POOL_SIZE", default=20)
# % endif

for _database in DATABASES.values():
    _database["CONN_MAX_AGE"] = DATABASE_MAX_AGE
    # It is asked before it is used whether it still works: the server may have restarted.
    _database["CONN_HEALTH_CHECKS"] = True
