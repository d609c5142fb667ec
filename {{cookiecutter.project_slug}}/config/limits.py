"""How long a task may take, and what follows from it for whoever stops a worker. Seconds.

Standard library only: deployment tools read it without Django or Celery.
"""

# Ends a task, where the pool can (prefork, gevent).
TASK = 300
# Raises SoftTimeLimitExceeded inside the task, which can still tidy up (prefork only).
SOFT = TASK - 60

# Each of these is longer than the one before, so that none cuts short what the one before allows.
# A worker that stops gives back what still runs (prefork only; workers/drain.py).
DRAIN = TASK + 15
# supervisord kills a worker that has not stopped.
STOP_WAIT = DRAIN + 15
# The container, or the host's service, is killed where it has not stopped, everything beside the
# workers included.
GRACE = STOP_WAIT + 60
