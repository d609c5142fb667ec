"""The rendered projects: one for each broker and pool, with the second app and the mishaps."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.baked import BakedProject, command_line, given
from tests.conftest import everything
from tests.faults import numbers

INSIDE = Path(__file__).resolve().parent / "inside"
ONLY_ON_REDIS = "config/settings/broker.py"
QUEUE = "work"  # of the one kind of worker; each cell runs several processes of it
APPS = ("loyalty", "mishaps")

# By file, what is replaced in it: the shorter limits, and the apps, as somebody adds one.
REPLACED = {
    "config/limits.py": {
        r"^TASK = .*": f"TASK = {numbers.TASK}",
        r"^SOFT = .*": f"SOFT = {numbers.SOFT}",
        r"^DRAIN = .*": f"DRAIN = {numbers.DRAIN}",
    },
    "compose.yaml": {r"stop_grace_period: 390s": f"stop_grace_period: {numbers.GRACE}s"},
    "config/settings/tasks.py": {
        r"^LONGEST_COUNTDOWN = .*": f"LONGEST_COUNTDOWN = {numbers.LONGEST_COUNTDOWN}"
    },
    "config/settings/broker.py": {r"^WORKER_SILENCE = .*": f"WORKER_SILENCE = {numbers.SILENCE}"},
    "config/settings/base.py": {
        r'^    "accounts",$': "\n".join(['    "accounts",', *(f'    "{app}",' for app in APPS)])
    },
    "config/urls.py": {
        r"^\]$": "\n".join(
            [*(f'    urls.path("", urls.include("{app}.urls")),' for app in APPS), "]"]
        )
    },
}
# What a cell changes comes last.
APPENDED = "from mishaps.settings import *\n"


def environment(folder: Path, version: str = "5.2") -> Path:
    """Return an environment that has what any project requires, kept between runs."""
    required = sorted(everything(version))
    name = hashlib.sha256(json.dumps([required, sys.version]).encode()).hexdigest()[:12]
    path = folder / f"environment-{name}"
    if not (path / "complete").exists():
        uv = [sys.executable, "-m", "uv"]
        subprocess.run(
            [*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(path)], check=True
        )
        python = str(path / "bin" / "python")
        subprocess.run(
            [*uv, "pip", "install", "--quiet", "--python", python, *required], check=True
        )
        (path / "complete").touch()
    return path


class Projects:
    """What was rendered so far, by its answers."""

    def __init__(self, folder: Path, interpreter: Path) -> None:
        self.folder = folder
        self.interpreter = interpreter
        self._made: dict[str, BakedProject] = {}

    def project(self, broker: str, pool: str, answers: Mapping[str, str]) -> BakedProject:
        """Return the project of a broker, a pool and further answers."""
        answered = {
            "broker": broker,
            "queues": f"{QUEUE}:{pool}:{numbers.CONCURRENCY[pool]}",
            "task_routes": "",
            # What keeps the promise must need no clock but its own.
            "beat_scheduler": "none",
            "use_flower": "false",
            **answers,
        }
        key = hashlib.sha256(json.dumps(answered, sort_keys=True).encode()).hexdigest()[:12]
        if key not in self._made:
            self._made[key] = self._make(self.folder / f"{broker}-{pool}-{key}", answered)
        return self._made[key]

    def _make(self, folder: Path, answers: dict[str, str]) -> BakedProject:
        shutil.rmtree(folder, ignore_errors=True)
        result = command_line(*given(project_slug="shop", **answers), folder=folder)
        if result.returncode:
            raise RuntimeError(result.stdout + result.stderr)
        project = BakedProject(folder / "shop")
        (project.path / ".venv").symlink_to(self.interpreter)
        for app in APPS:
            shutil.copytree(
                INSIDE / app, project.path / app, ignore=shutil.ignore_patterns("__pycache__")
            )
        for name, replaced in REPLACED.items():
            file = project.path / name
            text = file.read_text()
            for pattern, line in replaced.items():
                text, times = re.subn(pattern, line, text, flags=re.MULTILINE)
                assert times or name == ONLY_ON_REDIS, f"{name} has no line {pattern}"
            file.write_text(text)
        with (project.path / "config/settings/__init__.py").open("a") as settings:
            settings.write(APPENDED)
        return project


def refused(project: BakedProject, environment: Mapping[str, str], *command: str) -> str:
    """Run a command of a project that must fail, and return what it said."""
    result = subprocess.run(
        command,
        cwd=project.path,
        env=project.environment(**environment),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode, f"{command} was not refused"
    return result.stdout + result.stderr
