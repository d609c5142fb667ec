"""Says in each line of a log which task wrote it."""

import logging

from celery import current_task


class TaskFilter(logging.Filter):
    """Adds `task` to every record: the running task's name and id, or nothing."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass."""
        # Celery's own lines name the task already.
        inside = current_task and not record.name.startswith("celery.")
        record.task = f"{current_task.name}[{current_task.request.id}] " if inside else ""
        return True
