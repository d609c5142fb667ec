"""Removes the example: this folder, its tests and settings, and every line that names them.

python3 -m orders.remove

Standard library only. The folders go as they are, whatever somebody has added to them.
"""

import json
import re
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

FOLDERS = ("orders", "tests/orders")
SETTINGS = "config/settings/orders.py"

# File by file, what goes, as regular expressions.
TEXTS = {
    ".env.example": r"# The payment service.*\n(#PAYMENT.*\n)+\n",
    "README.md": r"\| `orders/`.*\n|^## The example\n(.*\n)+?(?=## |\Z)",
    "compose.override.yaml": r" +PAYMENT_GATEWAY_URL.*\n|^  payments:\n(    .*\n)+\n",
    "config/routers.py": r' +"orders\.job",\n',
    "config/queues.py": r' +"orders\.tasks\..*\n',
    "config/settings/__init__.py": r".*config\.settings\.orders.*\n",
    "config/settings/base.py": r' +"orders[."].*\n',
    "config/urls.py": r".*orders\.urls.*\n",
    "dev/service.py": r"(?s) +payments_port = .*?PAYMENT_GATEWAY_URL.*?\n",
    "pyproject.toml": r' +"(httpx|DJ001|(\S+/)?orders[./]).*\n',
}

# A project of these answers cannot be rendered, and so could not be updated.
NO_USE = (
    "Nothing was removed: without the orders nothing would be stored in the database of the tasks. "
    "First go over to one database (dedicated_task_database=false), or keep results in the second "
    "one (result_backend=database)."
)


def main() -> None:
    """Remove it. Raises SystemExit where the database of the tasks would have no use any more."""
    routers = ROOT / "config/routers.py"
    if routers.exists() and re.search(r'= \{\n +"orders\.job",\n\}', routers.read_text()):
        raise SystemExit(NO_USE)
    for name, text in TEXTS.items():
        file = ROOT / name
        if file.exists():
            kept = re.sub(text, "", file.read_text(), flags=re.MULTILINE)
            file.write_text(
                kept.replace("ROUTES: dict[str, str] = {\n}", "ROUTES: dict[str, str] = {}")
            )
    forget_the_answers()
    (ROOT / SETTINGS).unlink(missing_ok=True)
    for folder in FOLDERS:
        shutil.rmtree(ROOT / folder, ignore_errors=True)


def forget_the_answers() -> None:
    """Record that the project goes on without the example, for updates too where there are any."""
    for file in (ROOT / ".cookiecutter.json", ROOT / ".cruft.json"):
        if file.exists():
            record = json.loads(file.read_text())
            answers = record.get("answers") or next(iter(record["context"].values()))
            routes = answers["task_routes"].split()
            answers["task_routes"] = " ".join(r for r in routes if not r.startswith("orders."))
            answers["example_app"] = "false"
            file.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
