"""How gunicorn serves the web: `gunicorn --config python:config.web config.wsgi`."""

from environs import EnvError

from config.environment import env

try:
    # Processes.
    workers = env.int("WEB_CONCURRENCY", default=1)
    # Requests at once in each process; each of them may hold a connection to the database.
    threads = env.int("WEB_THREADS", default=8)
except EnvError as error:
    raise SystemExit(f"Cannot start: {error}. See .env.example.") from None
