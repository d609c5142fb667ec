"""Where the rows are."""

from config.settings.database_url import database_url

DATABASES = {
    "default": database_url("DATABASE_URL", "postgresql"),
}
