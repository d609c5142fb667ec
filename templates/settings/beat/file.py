"""Beat, which sends tasks by the clock, with a file that says when each was sent last."""

from config.environment import BASE_DIR, env
from config.schedule import SCHEDULE

# Declared in config/schedule.py, nowhere else.
CELERY_BEAT_SCHEDULE = SCHEDULE

# Starts a new file where the old one is damaged.
CELERY_BEAT_SCHEDULER = "config.beat.FileScheduler"

# Where the file is lost, a run that was missed meanwhile is not made up for.
CELERY_BEAT_SCHEDULE_FILENAME = env.str(
    "CELERY_BEAT_SCHEDULE_FILENAME", default=str(BASE_DIR / "celerybeat-schedule")
)

# Beat says at least so often that it is alive; by default it may sleep for five minutes. Seconds.
CELERY_BEAT_MAX_LOOP_INTERVAL = 60

# What was sent is written down at once, and not every three minutes: a beat that was killed in
# between would send it again.
CELERY_BEAT_SYNC_EVERY = 1
