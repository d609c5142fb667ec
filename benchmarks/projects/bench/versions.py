"""Prints the versions of what every variant runs on, as JSON."""

import json
import platform
from importlib.metadata import version

PACKAGES = {
    "Celery": "celery",
    "kombu": "kombu",
    "Django": "django",
    "redis-py": "redis",
    "psycopg": "psycopg",
    "gevent": "gevent",
    "eventlet": "eventlet",
}

if __name__ == "__main__":
    found = {name: version(package) for name, package in PACKAGES.items()}
    print(json.dumps({"Python": platform.python_version(), **found}))
