"""Results, as rows beside the others; the admin shows them."""

CELERY_RESULT_BACKEND = "workers.results:DatabaseBackend"

# The row says which task it was, with which arguments, and on which worker it ran.
CELERY_RESULT_EXTENDED = True

# % if cookiecutter.beat_scheduler == "none"
# Rows that have expired stay until somebody sends celery.backend_cleanup: let cron do it daily.
# % else
# Rows that have expired are deleted daily at four, when beat sends celery.backend_cleanup.
# % endif
