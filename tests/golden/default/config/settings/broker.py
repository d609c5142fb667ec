"""The broker: Redis, or a server that speaks its protocol."""

import ssl

from kombu import Queue

from config.queues import QUEUES, WIDEST
from config.settings.redis import redis_url
from config.settings.tasks import CELERY_TASK_TIME_LIMIT, LONGEST_COUNTDOWN, PUBLISH_TIMEOUT

CELERY_BROKER_URL = redis_url("CELERY_BROKER_URL")

# Redis hands a task to another worker when it was not acknowledged for so long, even while it runs
# or waits for its countdown: longer than both, and than a task reserved behind another one.
# The price: so long may it take until the tasks of a killed worker run again. Seconds.
VISIBILITY_TIMEOUT = LONGEST_COUNTDOWN + 2 * CELERY_TASK_TIME_LIMIT

CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": VISIBILITY_TIMEOUT,
    # Without a timeout a publish to a broker that went silent hangs for ever.
    "socket_timeout": PUBLISH_TIMEOUT,
    "socket_connect_timeout": PUBLISH_TIMEOUT,
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
