"""Times the rendering of the default project: the whole command, as a user waits for it."""

import statistics
import subprocess
import sys
import tempfile
import time

from tests.baked import TEMPLATE

ROUNDS = 7


def once() -> float:
    """Return the seconds that one rendering takes."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "cookiecutter", str(TEMPLATE), "--no-input", "-o", folder]
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        return time.perf_counter() - start


if __name__ == "__main__":
    seconds = [once() for _ in range(ROUNDS)]
    low, middle, high = min(seconds), statistics.median(seconds), max(seconds)
    print(f"render the default project: median {middle:.2f} s of {ROUNDS} ({low:.2f}-{high:.2f})")
