"""Where the rows are."""

import dj_database_url
from environs import EnvError

from config.settings.environment import env

_url = env.str("DATABASE_URL")
try:
    DATABASES = {"default": dj_database_url.parse(_url)}
except ValueError as error:
    raise EnvError(f'Environment variable "DATABASE_URL" is malformed: {error}') from None

if DATABASES["default"].get("ENGINE") != "django.db.backends.postgresql":
    raise EnvError('Environment variable "DATABASE_URL" does not start with postgresql://')
if not DATABASES["default"]["NAME"]:
    raise EnvError('Environment variable "DATABASE_URL" names no database')
