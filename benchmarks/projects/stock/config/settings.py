"""What a worker meets in a project of cookiecutter-django, the leading Django template.

"base" is its config/settings/base.py, "production" its config/settings/production.py. Left out is what
needs packages that the other variants lack (allauth, crispy-forms, django-redis, anymail): without
it the project is lighter, to its own advantage.
"""

import json
import os

import dj_database_url

DEBUG = False  # production
SECRET_KEY = "nothing is signed here"

INSTALLED_APPS = [
    # base: DJANGO_APPS
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.sites",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.admin",
    "django.forms",
    # base: THIRD_PARTY_APPS
    "django_celery_beat",
    # The app of the benchmarks.
    "bench",
]

MIDDLEWARE = [
    # base, without allauth's
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

SITE_ID = 1  # base
USE_I18N = True  # base
USE_TZ = True  # base
TIME_ZONE = "UTC"  # base
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"  # base

DATABASES = {"default": dj_database_url.parse(os.environ["DATABASE_URL"])}
DATABASES["default"]["ATOMIC_REQUESTS"] = True  # base
DATABASES["default"]["CONN_MAX_AGE"] = 60  # production; seconds

# production, with Django's own client in place of django-redis
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": os.environ["CELERY_BROKER_URL"],
    }
}

# base
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "verbose": {
            "format": "%(levelname)s %(asctime)s %(module)s %(process)d %(thread)d %(message)s",
        },
    },
    "handlers": {
        "console": {
            "level": "DEBUG",
            "class": "logging.StreamHandler",
            "formatter": "verbose",
        },
    },
    "root": {"level": "INFO", "handlers": ["console"]},
}

CELERY_TIMEZONE = TIME_ZONE  # base
CELERY_BROKER_URL = os.environ["CELERY_BROKER_URL"]  # base
CELERY_RESULT_BACKEND = CELERY_BROKER_URL  # base
CELERY_RESULT_EXTENDED = True  # base
CELERY_RESULT_BACKEND_ALWAYS_RETRY = True  # base
CELERY_RESULT_BACKEND_MAX_RETRIES = 10  # base
CELERY_ACCEPT_CONTENT = ["json"]  # base
CELERY_TASK_SERIALIZER = "json"  # base
CELERY_RESULT_SERIALIZER = "json"  # base
CELERY_TASK_TIME_LIMIT = 5 * 60  # base; seconds
CELERY_TASK_SOFT_TIME_LIMIT = 60  # base; seconds
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"  # base
CELERY_WORKER_SEND_TASK_EVENTS = True  # base
CELERY_TASK_SEND_SENT_EVENT = True  # base
CELERY_WORKER_HIJACK_ROOT_LOGGER = False  # base, since its issue 5616
# Acknowledgement and prefetch are not set there: early, and four for each slot.

CELERY_IMPORTS = ["bench.queries"]

# The delivery settings of the rendered project, in the variant that has them.
globals().update(json.loads(os.environ.get("BENCH_DELIVERY", "{}")))
