"""The cache, in the memory of each process: nothing here needs one that is shared."""

CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
