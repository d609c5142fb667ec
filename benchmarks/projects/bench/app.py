"""Loads the Celery app of the variant whose folder this runs in, as its own processes do."""

import os
from importlib import import_module

from celery import Celery


def load() -> Celery:
    """Return the app that BENCH_APP names, with its tasks."""
    if "DJANGO_SETTINGS_MODULE" in os.environ:
        import django

        django.setup()
    module, _, name = os.environ["BENCH_APP"].partition(":")
    app: Celery = getattr(import_module(module), name)
    app.loader.import_default_modules()
    return app
