"""Results, in a Redis database of their own."""

import ssl

from config.queues import WIDEST
from config.settings.redis import redis_url

CELERY_RESULT_BACKEND = redis_url("CELERY_RESULT_BACKEND")

# A result backend that went silent is given up. Seconds.
CELERY_REDIS_SOCKET_TIMEOUT = 5
# Tries three times within two seconds: a task whose end cannot be stored goes back (workers/tracing.py).
CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS = {
    "retry_policy": {"max_retries": 3, "interval_start": 0, "interval_step": 1, "interval_max": 1}
}
# A connection that was lost is replaced: Celery by itself writes a failure down over it.
CELERY_RESULT_BACKEND_ALWAYS_RETRY = True
CELERY_RESULT_BACKEND_MAX_RETRIES = 1
# Every slot may store its result at the same moment.
CELERY_REDIS_MAX_CONNECTIONS = WIDEST + 20

# Only for rediss://, which alone would accept any certificate.
CELERY_REDIS_BACKEND_USE_SSL = (
    {"ssl_cert_reqs": ssl.CERT_REQUIRED} if CELERY_RESULT_BACKEND.startswith("rediss://") else None
)
