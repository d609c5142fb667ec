"""The cache, in a Redis database of its own."""

from config.settings.redis import redis_url

CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": redis_url("CACHE_URL"),
    }
}
