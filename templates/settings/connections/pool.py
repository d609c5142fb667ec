"""Connections to the database are borrowed from a pool in each process, for a request or a task."""

from config.environment import env
from config.settings.databases import DATABASES
from config.settings.web import WEB_THREADS
from workers.reconnect import try_again

# workers/connections.py sizes the pool of a worker, and keeps it alive between tasks.
DATABASE_CONNECTION = "pool"

# The most connections that a worker's process may have, however many tasks it runs at once.
DATABASE_POOL_SIZE = env.int("DATABASE_POOL_SIZE", default=20)

for _database in DATABASES.values():
    # A request that borrows one asks first whether it still works: the server may have restarted.
    _database["CONN_HEALTH_CHECKS"] = True
    _pool = {
        "min_size": 0,
        "max_size": WEB_THREADS,  # one for each thread of the web
        # How long one waits for a server that is away. Seconds.
        "timeout": 5,
        # By itself it tries that one ever more rarely: an outage would last twice as long.
        "reconnect_timeout": 5,
        "reconnect_failed": try_again,
    }
    _database["OPTIONS"] = {**_database.get("OPTIONS", {}), "pool": _pool}
