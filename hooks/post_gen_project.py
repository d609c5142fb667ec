"""Removes what the answers leave out, and shows what they mean and what to do next."""

import shutil
from pathlib import Path

LEFT_OUT = """\
{{ topology(cookiecutter).left_out | join("\n") }}
"""

TABLE = """\
{{ topology(cookiecutter).choices }}

{{ topology(cookiecutter).table }}
"""

for name in LEFT_OUT.split():
    path = Path(name)
    shutil.rmtree(path) if path.is_dir() else path.unlink()

print(f"\n{TABLE}\nNext:\n\n  cd {{ cookiecutter.project_slug }}\n  make run\n")
