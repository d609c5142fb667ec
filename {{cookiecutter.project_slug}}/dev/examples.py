"""Runs a command that needs the settings but no server, such as a linter.

    python -m dev.examples mypy .

What neither the environment nor .env names is as in .env.example.
"""

import os
import re
import sys
from io import StringIO

from dotenv import dotenv_values

from dev.servers import ROOT, named


def main() -> None:
    """Run the command in place of this process."""
    text = (ROOT / ".env.example").read_text()
    uncommented = re.sub(r"^#(?=[A-Z_]+=)", "", text, flags=re.MULTILINE)
    examples = {
        name: value or "" for name, value in dotenv_values(stream=StringIO(uncommented)).items()
    }
    os.execvpe(sys.argv[1], sys.argv[1:], {**examples, **named()})


if __name__ == "__main__":
    main()
