"""RabbitMQ, which comes in no wheel: whoever works on the project starts one."""

from contextlib import AbstractContextManager
from pathlib import Path

VARIABLES = ("CELERY_BROKER_URL",)

HINT = """\
CELERY_BROKER_URL names no RabbitMQ. This starts one:

  docker run --detach --name {{cookiecutter.project_slug}}-rabbitmq --publish 127.0.0.1:5672:5672 rabbitmq:4

and this, in .env, uses it (the tests want one of their own, as TEST_CELERY_BROKER_URL):

  CELERY_BROKER_URL=amqp://guest:guest@127.0.0.1:5672//"""


def running(folder: Path, hold: tuple[int, ...]) -> AbstractContextManager[dict[str, str]]:
    """Raise SystemExit with the command that starts a server."""
    raise SystemExit(HINT)
