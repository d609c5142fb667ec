"""Binds the Celery app in every process, as cookiecutter-django's config/__init__.py does."""

from .celery_app import app as celery_app

__all__ = ("celery_app",)
