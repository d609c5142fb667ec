"""Every pair of answers, rendered and judged by the gate that its own team would use."""

import ast
import json
import sys
import tomllib
from collections.abc import Iterator
from itertools import combinations, product
from pathlib import Path
from typing import Any

import pytest
import yaml
from allpairspy import AllPairs

from tests.baked import OPTIONS, BakedProject, bake
from tests.test_answers import answers
from tests.test_golden import GOLDEN
from topology import Topology

NASTY = 'Joe\'s "Größe" \\ $HOME %s 🎉'
FREE = {
    "project_name": ["Order Service", NASTY],
    "description": ["Takes orders.", NASTY],
    "result_backend": list(OPTIONS["_result_backends"]),
    "queues": [OPTIONS["queues"], "jobs", "a:prefork:2 b:threads:3, c:gevent"],
}
VALUES = {
    name: FREE.get(name, value)
    for name, value in OPTIONS.items()
    if name in FREE or (isinstance(value, list) and not name.startswith("_"))
}


def refused(given: dict[str, str]) -> bool:
    """Tell whether some of the answers are refused beside each other."""
    return bool(Topology(answers(**given)).problems)


def rows() -> list[dict[str, str]]:
    """Return answers that hold, together, every pair that is not refused."""
    found = [
        dict(zip(VALUES, row, strict=True))
        for row in AllPairs(
            list(VALUES.values()),
            filter_func=lambda row: not refused(dict(zip(VALUES, row, strict=False))),
        )
    ]
    # It misses some where it may not combine as it likes: as many as fit into each further row.
    while missing := [pair for pair in pairs() if not any(is_in(pair, row) for row in found)]:
        fixed: dict[str, str] = {}
        for pair in missing:
            fits = all(fixed.get(name, value) == value for name, value in pair.items())
            if fits and not refused({**found[0], **fixed, **pair}):
                fixed |= pair
        found.append({**found[0], **fixed})
    return found


def is_in(pair: dict[str, str], row: dict[str, str]) -> bool:
    """Tell whether a row holds two answers."""
    return pair.items() <= row.items()


def pairs() -> Iterator[dict[str, str]]:
    """Yield every two answers that are not refused beside each other."""
    for first, second in combinations(VALUES, 2):
        for values in product(VALUES[first], VALUES[second]):
            pair = dict(zip((first, second), values, strict=True))
            if not refused(pair):
                yield pair


PAIRS = rows()
# What RabbitMQ refuses.
AUTOSCALE = {**PAIRS[0], "broker": "redis", "queues": "a:prefork:2-8 b:eventlet:5-50"}

# The files that not every project has, by what they come with.
BEAT = [f"{name}.py" for name in ("config/beat", "config/schedule", "config/settings/beat")]
BEAT += ["workers/periodic.py"]
BEAT += [f"tests/test_{name}.py" for name in ("beat", "schedule")]
REDIS = ["config/settings/redis.py", "dev/valkey.py", "tests/test_redis.py"]
REDIS_BROKER = ["tests/test_visibility_timeout.py", "workers/claim.lua"]
REDIS_BROKER += [
    f"workers/{name}.py"
    for name in ("client", "durability", "presence", "redis", "transport", "unacknowledged")
]
RABBITMQ = [
    "dev/rabbitmq.py",
    "tests/test_rabbitmq.py",
    "workers/rabbitmq.py",
    "workers/returned.py",
    "workers/remote_control.py",
]
DATABASE_RESULTS = ["tests/test_results.py", "workers/results.py"]
DEDICATED = ["config/routers.py", "config/settings/routers.py", "tests/test_routers.py"]
DOCKER = [".dockerignore", "Dockerfile", "compose.override.yaml", "compose.yaml", "dev/reload.py"]
SUPERVISOR = [f"deploy/supervisor/{name}" for name in ("supervisord.conf", "var/.gitignore")]
SUPERVISOR += ["deploy/supervisor/shop.service"]
SUPERVISOR += [f"workers/{name}.py" for name in ("autoscale", "backlog", "headroom", "watch")]
SUPERVISOR += ["workers/management/commands/autoscale_workers.py"]
FLOWER = ["config/flower.py"]
DEFAULT = set(BakedProject(GOLDEN / "default").files)
EXAMPLE = {name for name in DEFAULT if name.startswith(("orders/", "tests/orders/"))}
EXAMPLE |= {"config/settings/orders.py"}
COMMON = DEFAULT - EXAMPLE - {*BEAT, *REDIS, *REDIS_BROKER, *DOCKER, *FLOWER}


def expected_files(given: dict[str, str]) -> set[str]:
    """Return the names of the files that answers should give."""
    redis = "redis" in (given["broker"], given["result_backend"])
    return COMMON.union(
        EXAMPLE if given["example_app"] == "true" else [],
        DEDICATED if given["dedicated_task_database"] == "true" else [],
        BEAT if given["beat_scheduler"] != "none" else [],
        DATABASE_RESULTS if given["result_backend"] == "database" else [],
        REDIS if redis else [],
        DOCKER if given["deployment"] == "docker" else SUPERVISOR,
        FLOWER if given["use_flower"] == "true" else [],
        REDIS_BROKER if given["broker"] == "redis" else RABBITMQ,
    )


def shown(given: dict[str, str]) -> str:
    """Return the answers that are choices."""
    return " ".join(value for name, value in given.items() if name not in FREE)


# Every fifth row; the others in `make test-long`.
GIVEN = [
    pytest.param(given, marks=[pytest.mark.long] if number % 5 else [])
    for number, given in enumerate([*PAIRS, AUTOSCALE])
]


@pytest.mark.parametrize("given", GIVEN, ids=shown)
def test_a_pair_of_answers_passes_every_judge(
    tmp_path: Path,
    given: dict[str, str],
    environment: Any,
) -> None:
    project = bake(tmp_path, **given, project_slug="shop")
    assert set(project.files) == expected_files(given)
    parses(project)
    ruff = [sys.executable, "-m", "ruff"]
    project.run(*ruff, "check", "--no-cache")
    project.run(*ruff, "format", "--check", "--no-cache")

    (project.path / ".venv").symlink_to(environment(given["django_version"]))
    project.run("python", "-m", "dev.setup")
    # The gate as it is, on an environment that is there already.
    project.run("make", "--assume-old=setup", "lint")
    requires_what_it_imports(project)


def parses(project: BakedProject) -> None:
    """Hold that every file is what its name says."""
    for name, content in project.files.items():
        text = content.decode()
        match Path(name).suffix:
            case ".py":
                compile(text, name, "exec", flags=ast.PyCF_ONLY_AST)
            case ".toml":
                tomllib.loads(text)
            case ".json":
                json.loads(text)
            case ".yaml" | ".yml":
                yaml.safe_load(text)


def requires_what_it_imports(project: BakedProject) -> None:
    """Hold that what is imported is required, and in production not by developers only."""
    come_with_others = "DEP003=amqp|billiard|kombu|dj_database_url|tornado"
    options = ["--ignore=DEP002", f"--per-rule-ignores={come_with_others}", "--no-ansi"]
    deptry = ["python", "-m", "deptry", *options]
    project.run(*deptry, "--extend-exclude=^(dev|tests)/", ".")
    project.run(*deptry, "--ignore=DEP002,DEP004", ".")


def test_both_versions_of_django_send_one_policy(tmp_path: Path, environment: Any) -> None:
    ask = (
        "import django; django.setup()\n"
        "from django.test import Client\n"
        "page = Client(headers={'host': 'example.com'}).get('/admin/login/', secure=True)\n"
        "print(page['Content-Security-Policy'])"
    )
    policies = []
    for version in OPTIONS["django_version"]:
        project = bake(tmp_path / version, django_version=version)
        (project.path / ".venv").symlink_to(environment(version))
        project.run("python", "-m", "dev.setup")
        command = ["python", "-m", "dev.examples", "python", "-W", "ignore", "-c", ask]
        text = project.run(*command, DJANGO_SETTINGS_MODULE="config.settings")
        policies.append(sorted(text.strip().split("; ")))
    assert policies[0] == policies[1]
    assert "default-src 'self'" in policies[0]


def test_every_pair_is_there() -> None:
    assert not [row for row in PAIRS if refused(row)]
    assert not [pair for pair in pairs() if not any(is_in(pair, row) for row in PAIRS)]
