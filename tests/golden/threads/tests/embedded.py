"""A pytest plugin: throwaway servers for whatever the environment does not name.

Loaded before Django's own plugin, because the settings need the servers' URLs.
"""

import os
import secrets
import tempfile
from contextlib import ExitStack
from pathlib import Path

from dev import servers

_stack = ExitStack()
_folder = _stack.enter_context(tempfile.TemporaryDirectory(prefix="servers-"))

_offers = {
    "DJANGO_DEBUG": "true",
    "DJANGO_SECRET_KEY": secrets.token_urlsafe(50),
    **_stack.enter_context(servers.running(Path(_folder))),
}
os.environ.update(servers.environment(_offers))


def pytest_unconfigure() -> None:
    """Stop them."""
    _stack.close()
