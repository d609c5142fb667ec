"""How gunicorn serves the web: `gunicorn --config python:config.web config.wsgi`."""

import sys

from environs import EnvError

from config.environment import env

# Its socket would be the same for every service of one user.
control_socket_disable = True

try:
    bind = env.str("WEB_BIND", default="127.0.0.1:8000")
    # Processes.
    workers = env.int("WEB_CONCURRENCY", default=1)
    # Requests at once in each process; each of them may hold a connection to the database.
    threads = env.int("WEB_THREADS", default=8)
except EnvError as error:
    raise SystemExit(f"Cannot start: {error}. See .env.example.") from None


def on_reload(_: object) -> None:
    """At a HUP, forget what `.env` said: the processes that take over read it for themselves."""
    sys.modules.pop("config.environment", None)
