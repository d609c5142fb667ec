"""Keys, hosts, cookies and transport. Everything that needs TLS is on unless DJANGO_DEBUG is."""

from environs import validate

from config.environment import env
from config.settings.base import DEBUG

_not_empty = validate.Length(min=1)

SECRET_KEY = env.str("DJANGO_SECRET_KEY", validate=_not_empty)

# A new key goes into DJANGO_SECRET_KEY, the one before it here, until old sessions have expired.
SECRET_KEY_FALLBACKS: list[str] = env.list("DJANGO_SECRET_KEY_FALLBACKS", default=[])

# With DEBUG, Django allows localhost by itself.
_hosts = "DJANGO_ALLOWED_HOSTS"
ALLOWED_HOSTS: list[str] = (
    env.list(_hosts, default=[]) if DEBUG else env.list(_hosts, validate=_not_empty)
)
CSRF_TRUSTED_ORIGINS: list[str] = env.list("DJANGO_CSRF_TRUSTED_ORIGINS", default=[])

SECURE_SSL_REDIRECT = env.bool("DJANGO_SECURE_SSL_REDIRECT", default=not DEBUG)
SESSION_COOKIE_SECURE = not DEBUG
CSRF_COOKIE_SECURE = not DEBUG

# Only behind a proxy that ends TLS, sets this header itself and drops the one that a client sent.
if env.bool("DJANGO_BEHIND_TLS_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# An hour at first, so that a mistake is short; raise it to a year once every host speaks TLS.
SECURE_HSTS_SECONDS = 0 if DEBUG else env.int("DJANGO_HSTS_SECONDS", default=3600)
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{validator}"}
    for validator in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
