"""The cache, in the memory of each process: what one stores there, no other sees."""

CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
