"""Connections to the database are borrowed from a pool in each process, for a request or a task."""

from config.environment import env
from config.settings.databases import DATABASES
from config.settings.web import WEB_THREADS

# workers/connections.py sizes the pool of a worker, and keeps it alive between tasks.
DATABASE_CONNECTION = "pool"

# The most connections that a worker's process may have, however many tasks it runs at once.
DATABASE_POOL_SIZE = env.int("DATABASE_POOL_SIZE", default=20)

for _database in DATABASES.values():
    # A request that borrows one asks first whether it still works: the server may have restarted.
    _database["CONN_HEALTH_CHECKS"] = True
    # One for each thread of the web, which waits so many seconds for a server that is away. It tries
    # that one for as long, and anew for the next request: by itself, ever more rarely.
    _pool = {"min_size": 0, "max_size": WEB_THREADS, "timeout": 5, "reconnect_timeout": 5}
    _database["OPTIONS"] = {**_database.get("OPTIONS", {}), "pool": _pool}
