"""The Celery app, as in cookiecutter-django's config/celery_app.py."""

import os
from logging.config import dictConfig
from typing import Any

from celery import Celery
from celery.signals import setup_logging

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("stock")
app.config_from_object("django.conf:settings", namespace="CELERY")


@setup_logging.connect
def config_loggers(*args: Any, **kwargs: Any) -> None:
    """Log as Django does."""
    from django.conf import settings

    dictConfig(settings.LOGGING)


app.autodiscover_tasks()
