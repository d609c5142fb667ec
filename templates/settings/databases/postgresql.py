"""Where the rows are."""

from config.settings.database_url import database_url

DATABASES = {
    # % for alias, variable in topology(cookiecutter).databases.items()
    "{{alias}}": database_url("{{variable}}", "postgresql"),
    # % endfor
}
