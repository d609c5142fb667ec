"""Reads a URL of Redis."""

from urllib.parse import urlsplit

from environs import EnvError

from config.environment import env

_taken: dict[tuple[str, int, str], str] = {}


def redis_url(variable: str) -> str:
    """Return the Redis URL in a variable.

    Raises EnvError where it is missing, is no `redis://host/NUMBER` or `rediss://host/NUMBER`, or
    names a database that another variable has taken: clearing a cache would empty the queues.
    """
    url = env.str(variable)
    try:
        parts = urlsplit(url)
        address = (parts.hostname or "", parts.port or 6379, parts.path.removeprefix("/"))
    except ValueError as error:
        raise EnvError(f'Environment variable "{variable}" is not a URL: {error}') from None
    if parts.scheme not in ("redis", "rediss") or not address[0] or not address[2].isdecimal():
        raise EnvError(
            f'Environment variable "{variable}" is not of the form redis://HOST:PORT/NUMBER '
            "(rediss:// for TLS)"
        )
    if (owner := _taken.setdefault(address, variable)) != variable:
        raise EnvError(
            f'Environment variables "{owner}" and "{variable}" name the same Redis database '
            f"({address[0]}:{address[1]}/{address[2]}); give each a number of its own"
        )
    return url
