"""Results, as rows beside the others; the admin shows them."""

CELERY_RESULT_BACKEND = "django-db"

# The row says which task it was, with which arguments, and on which worker it ran.
CELERY_RESULT_EXTENDED = True
