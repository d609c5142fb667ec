"""Beat, which sends tasks by the clock, with its schedule in the database; the admin shows it."""

from config.schedule import SCHEDULE

# Declared in config/schedule.py, nowhere else.
CELERY_BEAT_SCHEDULE = SCHEDULE

# Keeps the declared rows as they are declared, and leaves those that the admin added alone.
CELERY_BEAT_SCHEDULER = "config.beat.DeclaredScheduler"

# What was sent is written down at once, and not every three minutes: a beat that was killed in
# between would send it again.
CELERY_BEAT_SYNC_EVERY = 1
