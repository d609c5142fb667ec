"""Turns the answers into workers, routes and requirements, and refuses those that cannot work.

Cookiecutter loads it as an extension of Jinja, before anything is written. What makes a worker
or a route valid stands in the rendered project's own workers/worker.py; this module parses, and
adds what only the answers can get wrong.
"""

import json
import re
import shlex
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import click
from cookiecutter.exceptions import FailedHookException
from jinja2 import Environment, Template, TemplateError
from jinja2.ext import Extension
from slugify import slugify

HERE = Path(__file__).parent
SLUG = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")
_JINJA = re.compile(r"\{[{%#]|# %")
LONGEST_TEXT = 200  # characters of a name or description
LONGEST_SLUG = 60  # characters; it is a folder's name
LONGEST_SHOWN = 60  # characters of an answer that a message repeats

Answers = Mapping[str, Any]


def _load_rules() -> ModuleType:
    """Load the rendered project's rules from the very file that it gets, leaving no cache there."""
    path = HERE / "{{cookiecutter.project_slug}}" / "workers" / "worker.py"
    module = ModuleType("worker_rules")
    exec(compile(path.read_text(encoding="utf-8"), path, "exec"), module.__dict__)
    return module


rules = _load_rules()
Worker, Problem = rules.Worker, rules.Problem


@dataclass(frozen=True)
class Topology:
    """What the answers mean: workers, routes, requirements, and every problem with them."""

    answers: Answers

    @cached_property
    def workers(self) -> list[Any]:
        """The declared workers. Where a text does not parse, its problem stands in `problems`."""
        return [worker for worker, _ in self._parsed_workers]

    @cached_property
    def routes(self) -> dict[str, str]:
        """Queue by task name or glob, in the order of the answer."""
        return dict(self._parsed_routes)

    @property
    def redis_variables(self) -> list[str]:
        """The variables that name a database of a Redis, each a different one."""
        results = ["CELERY_RESULT_BACKEND"] if self.answers["result_backend"] == "redis" else []
        return ["CELERY_BROKER_URL", *results, "CACHE_URL"]

    @property
    def server_variables(self) -> dict[str, str]:
        """Each variable that names a server, with an example."""
        answers = self.answers
        redis = "redis://:password@localhost:6379"
        return {
            "DATABASE_URL": answers["_databases"][answers["database"]]["example"],
            **{name: f"{redis}/{number}" for number, name in enumerate(self.redis_variables)},
        }

    @property
    def apps(self) -> list[str]:
        """What INSTALLED_APPS holds of other people's packages, beside Django's own."""
        return [app for row in self._rows for app in row.get("apps", ())]

    @property
    def settings(self) -> list[str]:
        """The modules of config/settings/, sorted."""
        return self._collected("settings")

    @property
    def dependencies(self) -> list[str]:
        """What the rendered project needs to run, sorted."""
        return self._collected("requirements")

    @property
    def dev_dependencies(self) -> list[str]:
        """What its developers need beside that, sorted."""
        return self._collected("dev_requirements")

    @property
    def problems(self) -> list[Any]:
        """Everything that is wrong with the answers, in the order of the questions."""
        return [
            *_text_problems(self.answers),
            *self._slug_problems(),
            *self._result_backend_problems(),
            *(problem for _, found in self._parsed_workers for problem in found),
            *self._repeated_routes(),
            *rules.problems(self.workers, self.routes),
        ]

    @property
    def table(self) -> str:
        """The workers as a table, for a person who wants to see what was understood."""
        heads = ("worker", "queues", "pool", "concurrency", "processes", "routes")
        rows = [heads, *(self._row(worker) for worker in self.workers)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
        return "\n".join(lines)

    def _row(self, worker: Any) -> tuple[str, ...]:
        routes = [task for task, queue in self.routes.items() if queue in worker.consumes]
        if worker is self.workers[0]:
            routes.append("everything else")
        return (
            worker.name,
            " ".join(worker.consumes),
            worker.pool,
            _bounds(worker.concurrency),
            _bounds(worker.processes),
            " ".join(routes),
        )

    @cached_property
    def _parsed_workers(self) -> list[tuple[Any, list[Any]]]:
        pool = str(self.answers["worker_pool"])
        return [_parse_worker(word, pool) for word in _words(self.answers["queues"])]

    @cached_property
    def _parsed_routes(self) -> list[tuple[str, str]]:
        return [_parse_route(word) for word in _words(self.answers["task_routes"])]

    @property
    def record(self) -> str:
        """The public answers and the template's version as JSON; no path of anybody's machine."""
        answers = {name: value for name, value in self.answers.items() if not name.startswith("_")}
        record = {"template_version": self.answers["_template_version"], "answers": answers}
        return json.dumps(record, indent=2, ensure_ascii=False)

    @property
    def _rows(self) -> list[Mapping[str, Any]]:
        """What the tables say of each choice; nothing of a choice that does not exist."""
        answers = self.answers
        return [
            answers["_django_versions"][answers["django_version"]],
            answers["_databases"][answers["database"]],
            answers["_brokers"][answers["broker"]],
            answers["_result_backends"].get(answers["result_backend"], {}),
            *(answers["_pools"].get(worker.pool, {}) for worker in self.workers),
            answers["_beat_schedulers"][answers["beat_scheduler"]],
        ]

    def _collected(self, kind: str) -> list[str]:
        ours = self.answers[f"_{kind}"]
        return sorted({*ours, *(name for row in self._rows for name in row.get(kind, ()))})

    def _result_backend_problems(self) -> Iterable[Any]:
        known, answered = self.answers["_result_backends"], self.answers["result_backend"]
        if answered not in known:
            yield Problem(answered, "unknown result backend", f"choose one of: {', '.join(known)}")

    def _repeated_routes(self) -> Iterable[Any]:
        for task, times in Counter(task for task, _ in self._parsed_routes).items():
            if times > 1:
                yield Problem(task, f"routed {times} times", "keep one route for each task")

    def _slug_problems(self) -> Iterable[Any]:
        slug = str(self.answers["project_slug"])
        if not SLUG.fullmatch(slug):
            remedy = "use lower-case letters and digits, a letter first, with single - or _ between"
            yield Problem(slug, "not a slug", remedy)
        if len(slug) > LONGEST_SLUG:
            yield Problem(slug, f"{len(slug)} characters", f"use at most {LONGEST_SLUG}")
        taken = {_distribution(name) for name in (*self.dependencies, *self.dev_dependencies)}
        if _distribution(slug) in taken:
            reason = "the name of a package that the project depends on"
            yield Problem(slug, reason, f"choose another, such as {slug}-service")


class TopologyExtension(Extension):
    """What the template's files may call."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        # An update renders two versions of the template in one process: each loads its own logic.
        sys.modules.pop(__name__, None)
        environment.template_class = _Answer
        environment.globals["topology"] = Topology
        environment.filters |= {
            "accept": accept,
            "declaration": declaration,
            "markdown": markdown,
            "python": python,
            "routes_into": routes_into,
            "slug": slug,
            "toml": toml,
        }

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        """Refuse an answer that is no valid Jinja."""
        if name is None and _JINJA.search(source):
            plain = self.environment.overlay()
            plain.extensions = {}
            try:
                plain.compile(source)
            except TemplateError as error:
                raise _unreadable(source, error) from None
        return source


class _Answer(Template):
    """What Cookiecutter renders by itself: answers from its command line, and names of files."""

    def render(self, *args: Any, **kwargs: Any) -> str:
        try:
            return super().render(*args, **kwargs)
        except FailedHookException:
            raise
        except Exception as error:
            if self.name is not None:
                raise  # a file of the template: its author wants the traceback
            raise _unreadable(str(error), error) from error


def _unreadable(text: str, error: Exception) -> FailedHookException:
    return FailedHookException(
        f"An answer cannot be read: {_shown(text)}\n"
        f"Cookiecutter takes it for Jinja ({_shown(str(error))}); leave out {{{{, {{%, {{# and # %."
    )


def accept(answers: Answers) -> str:
    """Return "yes" where the answers can work.

    Raises FailedHookException, which Cookiecutter shows without a traceback and before it writes
    anything, with every problem and with the command that repeats the answers.
    """
    problems = Topology(answers).problems
    if problems:
        lines = [
            f"These answers cannot work ({len(problems)}):",
            "",
            *(f"  - {_shown(p.value)}: {_shown(p.reason)}; {p.remedy}." for p in problems),
            "",
            "Nothing was written. The same answers again, ready to be corrected:",
            "",
            f"  {_command(answers)}",
        ]
        # A terminal may lack characters that an answer has.
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        raise FailedHookException(
            "\n".join(lines).encode(encoding, "backslashreplace").decode(encoding)
        )
    return "yes"


def slug(name: str) -> str:
    """Return the default slug of a project's name."""
    return re.sub(r"^[^a-z]+", "", slugify(name))[:LONGEST_SLUG].strip("-") or "service"


def routes_into(routes: str, queues: str) -> str:
    """Return those of the routes whose queue is among the answered ones."""
    names = {word.partition(":")[0] for word in _words(queues)}
    return " ".join(route for route in _words(routes) if _parse_route(route)[1] in names)


def declaration(worker: Any) -> str:
    """Return the source of a worker as a person would write it."""
    return f'Worker("{worker.name}", pool="{worker.pool}", concurrency={worker.concurrency})'


def toml(text: str) -> str:
    """Return a one-line text as a string of TOML, YAML or JSON."""
    return f'"{_escaped(text, chr(34))}"'


def python(text: str) -> str:
    """Return a one-line text as a literal of Python, in the quotes that a formatter prefers."""
    quote = "'" if text.count('"') > text.count("'") else '"'
    return f"{quote}{_escaped(text, quote)}{quote}"


def markdown(text: str) -> str:
    """Return a one-line text that Markdown shows as it is."""
    return re.sub(r"([\\`*_\[\]<>#&|~])", r"\\\1", text)


def _escaped(text: str, quote: str) -> str:
    return text.replace("\\", "\\\\").replace(quote, f"\\{quote}")


def _words(text: object) -> list[str]:
    return re.split(r"[\s,]+", str(text).strip(" \t\r\n,")) if str(text).strip(" \t\r\n,") else []


def _parse_worker(word: str, default_pool: str) -> tuple[Any, list[Any]]:
    """Return the worker of `name[:pool[:concurrency]]`, and what could not be read."""
    name, pool, concurrency, *rest = [*word.split(":"), "", ""]
    pool = pool or default_pool
    found = []
    if any(rest):
        found.append(Problem(word, "more than three parts", "write name:pool:concurrency"))
    size: int | tuple[int, int] = rules.POOLS[pool].concurrency if pool in rules.POOLS else 1
    if match := re.fullmatch(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", concurrency):
        low, high = match.groups()
        size = (int(low), int(high)) if high else int(low)
    elif concurrency:
        remedy = "give a number, or a range such as 2-8"
        found.append(Problem(word, f"the concurrency {concurrency!r} is no number", remedy))
    return Worker(name, pool=pool, concurrency=size), found


def _parse_route(word: str) -> tuple[str, str]:
    task, _, queue = word.partition("=")
    return task, queue


def _text_problems(answers: Answers) -> Iterable[Any]:
    for option in ("project_name", "description"):
        text = str(answers[option])
        if not text.strip() or not text.isprintable():
            yield Problem(f"{option} {text!r}", "not one line of text", "write one line of text")
        if len(text) > LONGEST_TEXT:
            remedy = f"use at most {LONGEST_TEXT}"
            yield Problem(f"{option} {text!r}", f"{len(text)} characters", remedy)


def _command(answers: Answers) -> str:
    """Return the command that gives the same answers again to the same template."""
    context = click.get_current_context(silent=True)
    options = context.params if context else {}
    template = str(options.get("template") or HERE)
    words = ["cookiecutter", _shell_quoted(template), "--no-input"]
    for flag in ("checkout", "directory", "output_dir"):
        if (value := options.get(flag)) not in (None, "."):
            words += [f"--{flag.replace('_', '-')}", _shell_quoted(str(value))]
    public = {name: str(value) for name, value in answers.items() if not name.startswith("_")}
    words += [f"{name}={_shell_quoted(_literal(value))}" for name, value in public.items()]
    return " ".join(words)


def _literal(text: str) -> str:
    """Return Jinja that renders to a text, which Cookiecutter would take for Jinja itself."""
    return _JINJA.sub(lambda found: "{{ '" + found[0] + "' }}", text)


def _shell_quoted(word: str) -> str:
    if word.isprintable():
        return shlex.quote(word)
    return "$'" + word.encode("unicode_escape").decode().replace("'", "\\'") + "'"


def _distribution(name: str) -> str:
    """Return the normalised name of a distribution, without extras and versions (PEP 503)."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^A-Za-z0-9._-]", name)[0]).lower()


def _bounds(bounds: int | tuple[int, int]) -> str:
    return f"{bounds[0]}-{bounds[1]}" if isinstance(bounds, tuple) else str(bounds)


def _shown(text: str) -> str:
    """Return a text on one line, short enough to be read."""
    line = text if text.isprintable() else text.encode("unicode_escape").decode()
    return line if len(line) <= LONGEST_SHOWN else f"{line[:LONGEST_SHOWN]}…"
