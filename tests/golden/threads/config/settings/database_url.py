"""Reads a URL of a database."""

from typing import Any

import dj_database_url
from environs import EnvError

from config.environment import env

_taken: dict[tuple[str, ...], str] = {}


def database_url(variable: str, scheme: str) -> dict[str, Any]:
    """Return what Django needs to know of the database that the URL in a variable names.

    Raises EnvError where it is missing or malformed, does not begin with the scheme (another engine
    than the project was made for), or names a database that another variable has taken.
    """
    url = env.str(variable)
    try:
        database: dict[str, Any] = {**dj_database_url.parse(url)}
    except ValueError as error:
        raise EnvError(f'Environment variable "{variable}" is malformed: {error}') from None
    if not url.startswith(f"{scheme}://"):
        raise EnvError(f'Environment variable "{variable}" does not start with {scheme}://')
    if not database["NAME"]:
        raise EnvError(f'Environment variable "{variable}" names no database')
    address = tuple(str(database[part]) for part in ("HOST", "PORT", "NAME"))
    if (owner := _taken.setdefault(address, variable)) != variable:
        raise EnvError(
            f'Environment variables "{owner}" and "{variable}" name the same database; '
            "give each one of its own"
        )
    return database
