"""No results: what a task leaves behind are its effects."""

# Nothing is stored, and no task asks for it.
CELERY_TASK_IGNORE_RESULT = True
