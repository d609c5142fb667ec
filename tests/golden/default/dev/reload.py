"""Runs a module, and runs it anew whenever a source of the project changes.

python -m dev.reload workers.run io_heavy
"""

import shlex
import sys
from pathlib import Path

from watchfiles import PythonFilter, run_process

from config.limits import GRACE

if __name__ == "__main__":
    packages = [file.parent for file in Path().glob("*/__init__.py")]
    command = shlex.join([sys.executable, "-m", *sys.argv[1:]])
    # A worker finishes its tasks first.
    run_process(*packages, target=command, watch_filter=PythonFilter(), sigint_timeout=GRACE)
