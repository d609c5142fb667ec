"""How many requests the web takes at once, for what is sized with it."""

from config.web import threads, workers

WEB_CONCURRENCY = workers
WEB_THREADS = threads
