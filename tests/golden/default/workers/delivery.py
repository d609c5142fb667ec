"""The class of every task: what holds for a plain `@shared_task`."""

from typing import Any

from celery.contrib.django.task import DjangoTask
from django.conf import settings


class Task(DjangoTask):
    """A task whose sender does not wait for ever."""

    def apply_async(self, *args: Any, **options: Any) -> Any:
        """Send the task.

        Raises kombu.exceptions.OperationalError where the broker has not confirmed it in time, or
        cannot be reached; it may have the task all the same.
        """
        return super().apply_async(
            *args, **{"confirm_timeout": settings.PUBLISH_TIMEOUT, **options}
        )
