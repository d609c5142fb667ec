"""The Celery app. Its settings are the CELERY_ names in config/settings/tasks.py."""

import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery(
    "config",
    task_cls="workers.delivery:Task",
    amqp="workers.events:AMQP",
    # Connections to the database as config/settings/connections.py has them.
    fixups=["workers.fixup:fixup"],
)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def keep_django_logging(**kwargs: Any) -> None:
    """Leave logging as config/settings/logs.py has it; Celery would put handlers of its own."""
