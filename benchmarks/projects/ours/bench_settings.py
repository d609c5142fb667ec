"""The rendered project's own settings, and the app of the benchmarks."""

import config.settings as ours
from config.settings import *  # noqa: F403

INSTALLED_APPS = [*ours.INSTALLED_APPS, "bench"]
CELERY_IMPORTS = [*getattr(ours, "CELERY_IMPORTS", []), "bench.queries"]
