"""Where the rows are: in MySQL, or MariaDB."""

import pymysql

from config.settings.database_url import database_url

# PyMySQL in the place of mysqlclient: pure Python, so that other greenlets run while it waits.
pymysql.install_as_MySQLdb()

DATABASES = {
    # % for alias, variable in topology(cookiecutter).databases.items()
    "{{alias}}": database_url("{{variable}}", "mysql"),
    # % endfor
}

for _database in DATABASES.values():
    _database["OPTIONS"] = {
        **_database.get("OPTIONS", {}),
        # Every character, emoji too.
        "charset": "utf8mb4",
        # Refuses a value that does not fit, where it might be cut off.
        "sql_mode": "TRADITIONAL",
        # Each query sees what was committed before it, and locks the rows that it finds and no gaps
        # between them.
        "isolation_level": "read committed",
    }
    # Whatever the server's own default is.
    _database["TEST"] = {"CHARSET": "utf8mb4"}
