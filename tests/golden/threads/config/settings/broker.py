"""The broker: Redis, or a server that speaks its protocol."""

import ssl

from kombu import Queue

from config.queues import QUEUES, WIDEST
from config.settings.redis import redis_url
from config.settings.tasks import CELERY_TASK_TIME_LIMIT, LONGEST_COUNTDOWN, PUBLISH_TIMEOUT

CELERY_BROKER_URL = redis_url("CELERY_BROKER_URL")
# kombu's own would lose the task that a worker is just being handed when it dies.
CELERY_BROKER_TRANSPORT = "workers.transport:Transport"

# A worker that says nothing for so long has died, and others get its tasks. Longer than anything
# may hold up its process, such as a greenlet that does not yield: those would run twice. Seconds.
WORKER_SILENCE = 60
# Behind that, Redis hands out again what was not acknowledged for so long, even while it runs or
# waits for its countdown: longer than both, and than a task reserved behind another one. Seconds.
VISIBILITY_TIMEOUT = LONGEST_COUNTDOWN + 2 * CELERY_TASK_TIME_LIMIT

CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": VISIBILITY_TIMEOUT,
    # Without a timeout a publish to a broker that went silent hangs for ever.
    "socket_timeout": PUBLISH_TIMEOUT,
    "socket_connect_timeout": PUBLISH_TIMEOUT,
    # A worker gives up a connection that has been silent for a little more than twice as long.
    "health_check_interval": 10,
    # Each slot may acknowledge at the same moment. With fewer connections acknowledgements are
    # lost, and their tasks run a second time.
    "max_connections": WIDEST + 20,
}

# Only for rediss://, because the setting itself switches TLS on, which alone would accept any
# certificate.
CELERY_BROKER_USE_SSL = (
    {"ssl_cert_reqs": ssl.CERT_REQUIRED} if CELERY_BROKER_URL.startswith("rediss://") else None
)

# Declared in config/queues.py, nowhere else.
CELERY_TASK_QUEUES = [Queue(name, routing_key=name) for name in QUEUES]
# Has workers on greenlets ask for the next task at once.
CELERY_IMPORTS = ["workers.redis"]
