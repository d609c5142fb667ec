"""Times the rendering of the default project: the whole command, as a user waits for it."""

import subprocess
import sys
import tempfile
import time

from tests.baked import TEMPLATE


def once() -> float:
    """Return the seconds that one rendering takes."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "cookiecutter", str(TEMPLATE), "--no-input", "-o", folder]
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        return time.perf_counter() - start
