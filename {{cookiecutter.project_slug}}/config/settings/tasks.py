"""Celery: delivery, limits, queues. Each setting that is not the default carries its reason."""

from config.limits import SOFT, TASK
from config.queues import QUEUES, ROUTES
from config.settings.base import TIME_ZONE

# --- What travels -----------------------------------------------------------------------------

# JSON only, in both directions: unpickling a message would run whatever its sender wrote.
CELERY_TASK_SERIALIZER = "json"
# The same for what tasks return.
CELERY_RESULT_SERIALIZER = "json"
# Refuses anything else, even where another program put it into our queue.
CELERY_ACCEPT_CONTENT = ["json"]
# Refuses anything else in the result backend as well.
CELERY_RESULT_ACCEPT_CONTENT = ["json"]
# Countdowns and schedules survive daylight saving time.
CELERY_ENABLE_UTC = True
# Schedules are read in the project's own time zone.
CELERY_TIMEZONE = TIME_ZONE

# --- Delivery ---------------------------------------------------------------------------------

# Acknowledged after the task and not before it, so that the tasks of a killed worker run again.
# The price: every task must be safe to run twice.
CELERY_TASK_ACKS_LATE = True
# A worker reserves one task a slot, and no more that would wait behind a long one.
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# After a lost connection the broker hands running tasks to somebody else: stop ours.
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
# A worker that starts before its broker waits for it instead of dying.
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# A worker never gives up on its broker; by default it would end after about an hour.
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
# How long a broker may take to answer a publish. Seconds.
PUBLISH_TIMEOUT = 5
# As long for one of the connections to it, where others are waiting for its answers on all of them.
CELERY_BROKER_POOL_ACQUIRE_TIMEOUT = PUBLISH_TIMEOUT
# Tries twice what is sent by name or to another broker; workers/publishing.py has its own for tasks.
CELERY_TASK_PUBLISH_RETRY_POLICY = {
    "max_retries": 1,
    "interval_start": 0.1,
    "interval_step": 0.3,
    "interval_max": 1.0,
}

# --- What cannot succeed ----------------------------------------------------------------------

# A task whose process was killed runs again; the next setting bounds how often.
CELERY_TASK_REJECT_ON_WORKER_LOST = True
# A task that kills its process each time is started so often; then it is a dead letter.
POISON_STARTS = 3
# Keeps what no worker can make a task of; by default it is thrown away.
CELERY_WORKER_CONSUMER = "workers.consumer:Consumer"
# While the database is away nothing can be kept: what failed goes back to the broker, and not at
# once, or it would go round and round. Seconds.
PARKING_PAUSE = 5
# Large messages slow every worker down, and brokers keep them in memory: send an id instead. Bytes.
MESSAGE_LIMIT = 256 * 1024

# Rows that outlive what they are for, and for how long they may. Days.
RETENTION_DAYS = {
    # A redelivered task must still find that its effect has happened; so must a dead letter that is
    # sent again.
    "effects": 180,
    # Of a task that never ended, all others being gone with it; and that one has ended which was
    # handed out twice.
    "starts": 7,
    # Somebody has sent it again or discarded it, and may want to know.
    "settled dead letters": 30,
    # Nobody has; its deletion is logged.
    "waiting dead letters": 90,
    # No broker has taken it: it becomes a dead letter.
    "outbox": 7,
}

# --- Limits -----------------------------------------------------------------------------------

# Lets a task tidy up (prefork only).
CELERY_TASK_SOFT_TIME_LIMIT = SOFT
# Ends a task that ignored that one (prefork, gevent).
CELERY_TASK_TIME_LIMIT = TASK
# The longest countdown, ETA or retry pause that a task may have. Seconds.
LONGEST_COUNTDOWN = 15 * 60
# A prefork child is replaced after so many tasks, so that a slow leak cannot grow for ever.
CELERY_WORKER_MAX_TASKS_PER_CHILD = 1000
# The same by memory, for a leak that is not slow (prefork). KiB.
CELERY_WORKER_MAX_MEMORY_PER_CHILD = 400_000
# A result that nobody fetched is dropped after a day. Seconds.
CELERY_RESULT_EXPIRES = 24 * 60 * 60

# --- Watching ---------------------------------------------------------------------------------

# Tells a running task from a waiting one.
CELERY_TASK_TRACK_STARTED = True
# Lets monitors follow every task; off by default, and then they show nothing.
CELERY_WORKER_SEND_TASK_EVENTS = True
# Shows a task from the moment it was sent, and so how long it waited.
CELERY_TASK_SEND_SENT_EVENT = True

# --- Queues -----------------------------------------------------------------------------------

# Takes every task that no route names.
CELERY_TASK_DEFAULT_QUEUE = QUEUES[0]
# Which task goes to which queue, from config/queues.py.
CELERY_TASK_ROUTES = {task: {"queue": queue} for task, queue in ROUTES.items()}
# A misspelt queue is an error at the sender, not a queue that nobody consumes.
CELERY_TASK_CREATE_MISSING_QUEUES = False
