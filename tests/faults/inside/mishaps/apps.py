"""What goes wrong inside a process of the project, where a test has armed it from outside."""

from django.apps import AppConfig


class MishapsConfig(AppConfig):
    """The app of the mishaps."""

    name = "mishaps"

    def ready(self) -> None:
        """Write down each start, and let mishaps into the steps and between them."""
        # Before a task is touched, which would bind it to an app of Celery's own.
        import config.celery  # noqa: F401
        from mishaps import mechanisms, moments

        moments.watch()
        mechanisms.switch_off()
