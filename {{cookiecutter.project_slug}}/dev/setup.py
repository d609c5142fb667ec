"""`make setup`: writes `.env` with secrets of its own, and leaves one that exists alone."""

import os
import re
import secrets
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Write .env from .env.example, readable by its owner only."""
    target = ROOT / ".env"
    if target.exists():
        return
    example = (ROOT / ".env.example").read_text()
    # Letters, digits, - and _ only: `%`, `#` and `$` mean something to supervisord and shells.
    unset = re.compile(r"^[A-Z_]+=$", re.MULTILINE)
    text = unset.sub(lambda name: name[0] + secrets.token_urlsafe(50), example)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    print(f"Wrote {target.name}, with secrets of its own.")


if __name__ == "__main__":
    main()
