"""MySQL, which comes in no wheel: whoever works on the project starts one."""

from contextlib import AbstractContextManager
from pathlib import Path

VARIABLES = [
    # % for variable in topology(cookiecutter).database_variables
    "{{variable}}",
    # % endfor
]

HINT = """\
No MySQL is named. This starts one:

  docker run --detach --name {{cookiecutter.project_slug}}-mysql --publish 127.0.0.1:3306:3306 \\
    --env MYSQL_ROOT_PASSWORD=mysql --env MYSQL_DATABASE=service mysql:8.4 --max-connections=300

# % if cookiecutter.dedicated_task_database == "true"
this adds the second database, once it is up:

  docker exec {{cookiecutter.project_slug}}-mysql mysql -pmysql -e "CREATE DATABASE service_tasks"

# % endif
and these lines in .env use it; the tests make databases of their own beside what is named:

# % for variable, url in topology(cookiecutter).container_variables.items()
  {{variable}}={{url}}
  TEST_{{variable}}={{url}}
# % endfor
"""


def running(folder: Path, hold: tuple[int, ...]) -> AbstractContextManager[dict[str, str]]:
    """Raise SystemExit with the command that starts a server."""
    raise SystemExit(HINT)
