"""Binds the Celery app in every Django process and registers the checks."""

from importlib import import_module

from django.apps import AppConfig


class WorkersConfig(AppConfig):
    """The app of everything that runs inside a worker or watches one."""

    name = "workers"

    def ready(self) -> None:
        """Load the Celery app: without it `.delay()` in the web process would miss our broker."""
        import_module("config.celery")
        import_module("workers.checks")
        import_module("workers.task_checks")
        import_module("workers.connection_checks")
        import_module("workers.deployment")
        # Receivers of Celery's signals, which need the models.
        import_module("workers.poison")
