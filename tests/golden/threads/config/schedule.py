"""Periodic tasks: the one place to change them. Beat sends them, and a worker runs them.

Times are in TIME_ZONE. Crontabs rather than intervals, which start anew wherever beat has lost what
it wrote down.
"""

from typing import Any

from celery.schedules import crontab

# `expires`, in seconds: what no worker has taken by then is dropped. Without it each run of a
# weekend without workers would wait for Monday, to happen at once.
SCHEDULE: dict[str, dict[str, Any]] = {
    "remove-expired-sessions": {
        "task": "accounts.tasks.remove_expired_sessions",
        "schedule": crontab(hour="3", minute="30"),
        "options": {"expires": 60 * 60},
    },
}
