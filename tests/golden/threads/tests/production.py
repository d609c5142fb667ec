"""Runs Python with the environment of a production."""

import os
import secrets
import subprocess
import sys
from pathlib import Path

PRODUCTION = {
    "DJANGO_SECRET_KEY": secrets.token_urlsafe(50),
    "DJANGO_DEBUG": "false",
    "DJANGO_ALLOWED_HOSTS": "example.com",
    "DATABASE_URL": "postgresql://user:password@localhost:5432/service",
    "CELERY_BROKER_URL": "redis://:password@localhost:6379/0",
    "CELERY_RESULT_BACKEND": "redis://:password@localhost:6379/1",
    "CACHE_URL": "redis://:password@localhost:6379/2",
}


def python(
    folder: Path, *arguments: str, **changes: str | None
) -> subprocess.CompletedProcess[str]:
    """Run Python with production's environment and these changes; None leaves a variable out."""
    values = {"PATH": os.environ["PATH"], **PRODUCTION, **changes}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={name: value for name, value in values.items() if value is not None},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def show(folder: Path, names: str, **changes: str | None) -> str:
    """Return what production prints of its settings, which are called `s`."""
    code = f"import config.settings as s; print({names})"
    return python(folder, "-c", code, **changes).stdout.strip()
