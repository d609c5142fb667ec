"""Celery alone: what a task costs where nothing of ours or of Django's is in the way."""

import json
import os

from celery import Celery

app = Celery("bare", broker=os.environ["CELERY_BROKER_URL"], include=["bench.tasks"])
app.conf.broker_connection_retry_on_startup = True  # silences a warning, and nothing else
app.conf.update(json.loads(os.environ.get("BENCH_SETTINGS", "{}")))
