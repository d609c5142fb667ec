"""Logs go to standard error, one line each, with the worker and the task that wrote them."""

import logging
import os

from config.environment import env

# Set by `python -m workers.run`; whatever else starts is the web or a command.
_process = os.environ.get("WORKER_NAME", "web")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"task": {"()": "workers.logs.TaskFilter"}},
    "formatters": {
        "line": {
            "format": f"%(asctime)s %(levelname)-7s {_process:<9} %(name)s: %(task)s%(message)s",
        },
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "filters": ["task"],
            "formatter": "line",
        },
    },
    "root": {
        "handlers": ["console"],
        "level": env.log_level("LOG_LEVEL", default=logging.INFO),
    },
    "loggers": {
        # Without Django's own handlers, which would print each line a second time.
        "django": {"handlers": [], "level": "INFO", "propagate": True},
    },
}
