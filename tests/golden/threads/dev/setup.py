"""`make setup`: writes `.env` with secrets of its own, and leaves one that exists alone."""

import os
import secrets
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Write .env from .env.example, readable by its owner only."""
    target = ROOT / ".env"
    if target.exists():
        return
    # Letters, digits, - and _ only: `%`, `#` and `$` mean something to supervisord and shells.
    secret = secrets.token_urlsafe(50)
    example = (ROOT / ".env.example").read_text()
    text = example.replace("DJANGO_SECRET_KEY=\n", f"DJANGO_SECRET_KEY={secret}\n")
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    print(f"Wrote {target.name}, with a secret key of its own.")


if __name__ == "__main__":
    main()
