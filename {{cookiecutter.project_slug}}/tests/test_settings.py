"""The settings of a serious deployment, and how they refuse a bad environment."""

import re
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from celery.app.defaults import NAMESPACES, flatten
from django.conf import settings

from config import limits
from config.queues import WORKERS
from config.settings import tasks
from tests.production import PRODUCTION, python, show

EXPECTED = {
    "TASK_SERIALIZER": "json",
    "RESULT_SERIALIZER": "json",
    "ACCEPT_CONTENT": ["json"],
    "RESULT_ACCEPT_CONTENT": ["json"],
    "ENABLE_UTC": True,
    "TIMEZONE": "UTC",
    "TASK_ACKS_LATE": True,
    "WORKER_PREFETCH_MULTIPLIER": 1,
    "WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS": True,
    "BROKER_CONNECTION_RETRY_ON_STARTUP": True,
    "BROKER_CONNECTION_MAX_RETRIES": None,
    "WORKER_MAX_TASKS_PER_CHILD": 1000,
    "WORKER_MAX_MEMORY_PER_CHILD": 400_000,
    "RESULT_EXPIRES": 86_400,
    "TASK_TRACK_STARTED": True,
    "WORKER_SEND_TASK_EVENTS": True,
    "TASK_SEND_SENT_EVENT": True,
    "TASK_SOFT_TIME_LIMIT": 240,
    "TASK_TIME_LIMIT": 300,
    "TASK_CREATE_MISSING_QUEUES": False,
}
COMMENTED = {
    *EXPECTED,
    "BROKER_USE_SSL",
    "TASK_PUBLISH_RETRY_POLICY",
    "TASK_QUEUES",
    "TASK_ROUTES",
}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_setting_is_what_we_rely_on(name: str) -> None:
    assert getattr(settings, f"CELERY_{name}") == EXPECTED[name]


@pytest.mark.parametrize("name", COMMENTED)
def test_the_setting_has_its_reason_above_it(name: str) -> None:
    source = "".join(path.read_text() for path in Path(tasks.__file__).parent.glob("*.py"))
    assert re.search(rf"^# .*[.:)]\nCELERY_{name} = ", source, re.MULTILINE), name


def test_celery_knows_every_setting() -> None:
    known = {option[0].upper() for option in flatten(NAMESPACES)}
    ours = {name.removeprefix("CELERY_") for name in dir(settings) if name.startswith("CELERY_")}
    assert ours - known == set()


def test_no_limit_cuts_short_what_the_one_before_allows() -> None:
    nested = [limits.SOFT, limits.TASK, limits.DRAIN, limits.STOP_WAIT, limits.GRACE]
    assert nested == sorted(set(nested))
    assert settings.CELERY_TASK_SOFT_TIME_LIMIT == limits.SOFT
    assert settings.CELERY_TASK_TIME_LIMIT == limits.TASK


REQUIRED = [name for name in PRODUCTION if name != "DJANGO_DEBUG"]


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("DJANGO_SECRET_KEY", "", "Shorter than minimum length"),
        ("DJANGO_ALLOWED_HOSTS", "", "Shorter than minimum length"),
        ("DJANGO_DEBUG", "perhaps", "Not a valid boolean"),
        ("DATABASE_URL", "nonsense", "malformed"),
        ("DATABASE_URL", "oracle://host/name", "does not start with"),
        ("CELERY_BROKER_URL", "", ""),
        ("CELERY_BROKER_URL", "nonsense://host", ""),
        ("EMAIL_URL", "pigeon://post", "known scheme"),
        *((variable, None, f'Environment variable "{variable}" not set') for variable in REQUIRED),
    ],
)
def test_a_bad_variable_stops_the_start_with_a_sentence(
    bare: Path, variable: str, value: str | None, words: str
) -> None:
    result = python(bare, "manage.py", "check", **{variable: value})
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("Cannot start: ")
    assert f'"{variable}"' in line
    assert words in line


@pytest.mark.parametrize(
    "program",
    [
        "-m celery -A config worker",
        f"-m workers.run {WORKERS[0].name}",
        "-c __import__('config.wsgi')",
    ],
)
def test_whatever_is_started_says_so(bare: Path, program: str) -> None:
    result = python(bare, *program.split(), DATABASE_URL="nonsense")
    assert result.returncode == 1
    assert result.stderr.startswith('Cannot start: Environment variable "DATABASE_URL"')


def silent_url(port: int) -> str:
    """Return the broker's URL with its host and port replaced."""
    parts = urlsplit(PRODUCTION["CELERY_BROKER_URL"])
    return parts._replace(netloc=f"127.0.0.1:{port}").geturl()


def test_publishing_gives_up_on_a_broker_that_is_silent(bare: Path) -> None:
    code = """if 1:
        import django, time; django.setup()
        from accounts.tasks import remove_expired_sessions as task
        begun = time.monotonic()
        try: task.delay()
        except Exception as error: print(type(error).__name__, round(time.monotonic() - begun))
    """
    with socket.create_server(("127.0.0.1", 0)) as silent:
        result = python(
            bare,
            *("-c", code),
            CELERY_BROKER_URL=silent_url(silent.getsockname()[1]),
            DJANGO_SETTINGS_MODULE="config.settings",
        )
    name, seconds = result.stdout.split()
    assert name == "OperationalError", result.stderr
    # Five, and as many again where a pool then waits for the database of the outbox, which is away
    # as well. kombu's own would be fifteen for the broker alone.
    assert int(seconds) < 15


def test_debug_is_off_unless_somebody_asks(bare: Path) -> None:
    assert show(bare, "s.DEBUG", DJANGO_DEBUG=None) == "False"
