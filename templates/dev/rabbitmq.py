"""RabbitMQ, which comes in no wheel: whoever works on the project starts one."""

from contextlib import AbstractContextManager
from pathlib import Path

VARIABLES = ("CELERY_BROKER_URL",)

HINT = """\
No RabbitMQ is named. This starts one:

  docker run --detach --name {{cookiecutter.project_slug}}-rabbitmq --publish 127.0.0.1:5672:5672 rabbitmq:4

and these lines in .env use it, for `make run` and, apart from it, for `make test`:

  CELERY_BROKER_URL=amqp://guest:guest@127.0.0.1:5672//
  TEST_CELERY_BROKER_URL=amqp://guest:guest@127.0.0.1:5672/test

The second needs its virtual host, once the server is up:

  docker exec {{cookiecutter.project_slug}}-rabbitmq sh -c \\
    'rabbitmqctl add_vhost test && rabbitmqctl set_permissions -p test guest ".*" ".*" ".*"'"""


def running(folder: Path, hold: tuple[int, ...]) -> AbstractContextManager[dict[str, str]]:
    """Raise SystemExit with the command that starts a server."""
    raise SystemExit(HINT)
