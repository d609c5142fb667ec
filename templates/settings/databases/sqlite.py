"""Where the rows are: one file, which all processes of one host share."""

import dj_database_url
from environs import EnvError

from config.settings.environment import env

_url = env.str("DATABASE_URL")
try:
    DATABASES = {"default": dj_database_url.parse(_url)}
except ValueError as error:
    raise EnvError(f'Environment variable "DATABASE_URL" is malformed: {error}') from None

if DATABASES["default"].get("ENGINE") != "django.db.backends.sqlite3":
    raise EnvError('Environment variable "DATABASE_URL" does not start with sqlite:///')

DATABASES["default"]["OPTIONS"] = {
    # Readers and the one writer do not wait for each other.
    "init_command": "PRAGMA journal_mode=WAL",
    # Takes the write lock when a transaction begins: one that has to ask for it later may fail.
    "transaction_mode": "IMMEDIATE",
    # How long a writer waits for its turn. Seconds.
    "timeout": 20,
}
# A file in tests as well: the workers are other processes.
DATABASES["default"]["TEST"] = {"NAME": f"{DATABASES['default']['NAME']}.test"}
