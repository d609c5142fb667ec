"""A pytest plugin: throwaway servers, whatever the environment and .env name.

Tests empty queues and tables. To have them use servers of yours, name those with TEST_ in front, as
in TEST_DATABASE_URL, in the environment or in .env. Loaded before Django's plugin, because the settings need the servers' URLs.
"""

import os
import secrets
import tempfile
from contextlib import ExitStack
from pathlib import Path

from dev import servers

_given = {
    name.removeprefix("TEST_"): value
    for name, value in servers.named().items()
    if name.startswith("TEST_")
}
_stack = ExitStack()
_folder = _stack.enter_context(tempfile.TemporaryDirectory(prefix="servers-"))
os.environ.update(_stack.enter_context(servers.running(Path(_folder), _given)))
os.environ.update(DJANGO_DEBUG="true", DJANGO_SECRET_KEY=secrets.token_urlsafe(50))


def pytest_unconfigure() -> None:
    """Stop them."""
    _stack.close()
