"""Where the rows are: in a file, which all processes of one host share."""

from config.settings.database_url import database_url

DATABASES = {
    # % for alias, variable in topology(cookiecutter).databases.items()
    "{{alias}}": database_url("{{variable}}", "sqlite"),
    # % endfor
}

for _database in DATABASES.values():
    _database["OPTIONS"] = {
        # Readers and the one writer do not wait for each other.
        "init_command": "PRAGMA journal_mode=WAL",
        # Takes the write lock when a transaction begins: one that asks for it later may fail.
        "transaction_mode": "IMMEDIATE",
        # How long a writer waits for its turn. Seconds.
        "timeout": 20,
    }
    # A file in tests as well: the workers are other processes.
    _database["TEST"] = {"NAME": f"{_database['NAME']}.test"}
