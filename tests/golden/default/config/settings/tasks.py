"""Celery: delivery, limits, queues. Each setting that is not the default carries its reason."""

import ssl

from kombu import Queue

from config.queues import ROUTES, WORKERS
from config.settings.base import TIME_ZONE
from config.settings.environment import redis_url

_widest = max(
    worker.concurrency[1] if isinstance(worker.concurrency, tuple) else worker.concurrency
    for worker in WORKERS
)
_queues = list(dict.fromkeys(queue for worker in WORKERS for queue in worker.consumes))

CELERY_BROKER_URL = redis_url("CELERY_BROKER_URL")
CELERY_RESULT_BACKEND = redis_url("CELERY_RESULT_BACKEND")

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
# Publishing tries twice: a request fails at once where the broker refuses, and within seconds, by
# the timeouts below, where it is silent.
CELERY_TASK_PUBLISH_RETRY_POLICY = {
    "max_retries": 1,
    "interval_start": 0.1,
    "interval_step": 0.3,
    "interval_max": 1.0,
}
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # Without a timeout a publish to a broker that went silent hangs for ever. Seconds.
    "socket_timeout": 5,
    "socket_connect_timeout": 5,
    # Each slot may acknowledge at the same moment. With fewer connections acknowledgements are
    # lost, and their tasks run a second time.
    "max_connections": _widest + 20,
}
# The same for the result backend. Seconds.
CELERY_REDIS_SOCKET_TIMEOUT = 5
# Every slot may store its result at the same moment.
CELERY_REDIS_MAX_CONNECTIONS = _widest + 20

# --- Limits -----------------------------------------------------------------------------------

# Raises SoftTimeLimitExceeded inside the task, which can still tidy up (prefork only). Seconds.
CELERY_TASK_SOFT_TIME_LIMIT = 240
# Ends a task that ignored the soft limit (prefork, gevent). Seconds.
CELERY_TASK_TIME_LIMIT = 300
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

# Declared in config/queues.py, nowhere else.
CELERY_TASK_QUEUES = [Queue(name, routing_key=name) for name in _queues]
# Takes every task that no route names.
CELERY_TASK_DEFAULT_QUEUE = _queues[0]
# Which task goes to which queue, from config/queues.py.
CELERY_TASK_ROUTES = {task: {"queue": queue} for task, queue in ROUTES.items()}
# A misspelt queue is an error at the sender, not a queue that nobody consumes.
CELERY_TASK_CREATE_MISSING_QUEUES = False

# --- TLS --------------------------------------------------------------------------------------

# rediss:// alone would accept any certificate.
_verified = {"ssl_cert_reqs": ssl.CERT_REQUIRED}
# Only for rediss://, because the setting itself switches TLS on.
CELERY_BROKER_USE_SSL = _verified if CELERY_BROKER_URL.startswith("rediss://") else None
# The same for the results.
CELERY_REDIS_BACKEND_USE_SSL = _verified if CELERY_RESULT_BACKEND.startswith("rediss://") else None
