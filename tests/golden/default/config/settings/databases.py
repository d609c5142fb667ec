"""Where the rows are."""

from config.settings.database_url import database_url

DATABASES = {
    "default": database_url("DATABASE_URL", "postgresql"),
}

# When a server is given up that says nothing, because its host or the way to it is gone. By itself
# psycopg waits for two minutes for a connection, and the kernel for two hours for an answer on one.
# Seconds, but for the last one: milliseconds.
_patience = {
    "connect_timeout": 10,
    "keepalives_idle": 20,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 40_000,
}

for _database in DATABASES.values():
    # What the URL says goes before.
    _database["OPTIONS"] = {**_patience, **_database.get("OPTIONS", {})}
