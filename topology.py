"""Turns the answers into workers, routes and requirements, and refuses those that cannot work.

Cookiecutter loads it as an extension of Jinja, before anything is written. What makes a worker
or a route valid stands in the rendered project's own workers/worker.py; this module parses, and
adds what only the answers can get wrong.
"""

import json
import re
import shlex
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib.util import cache_from_source
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import click
from cookiecutter.exceptions import FailedHookException
from jinja2 import Environment, Template
from jinja2.ext import Extension
from rich.cells import cell_len
from slugify import slugify

HERE = Path(__file__).parent
SLUG = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")
DEVICE = re.compile(r"con|prn|aux|nul|(com|lpt)[0-9]")  # no folder of Windows can be called that
JOINERS = "\u200c\u200d"  # invisible, but emoji and several scripts are written with them
_JINJA = re.compile(r"\{[{%#]|# %")
LONGEST_TEXT = 200  # characters of a name or description
WIDEST_NAME = 80  # columns; beyond, a formatter would wrap the setting that holds it
LONGEST_SLUG = 60  # characters; it is a folder's name
LARGEST_POOL = 20  # connections; the default of DATABASE_POOL_SIZE
WIDTH = 80  # columns of what is shown after rendering
LONGEST_SHOWN = 60  # characters of an answer that a message repeats
LONGEST_REASON = 200  # characters, and of a remedy: one that lists every queue may be long

Answers = Mapping[str, Any]


def _load_rules() -> list[ModuleType]:
    """Load the rendered project's rules from the very files that it gets.

    No cache is left there, and no module under its name here: an update loads two versions.
    """
    loaded = {}
    try:
        for name in ("pools", "worker", "budget"):
            path = HERE / "{{cookiecutter.project_slug}}" / "workers" / f"{name}.py"
            module = loaded[name] = ModuleType(f"workers.{name}")
            module.__file__ = str(path)
            sys.modules[module.__name__] = module
            exec(compile(path.read_text(encoding="utf-8"), path, "exec"), module.__dict__)
    finally:
        for module in loaded.values():
            del sys.modules[module.__name__]
    return list(loaded.values())


pools, rules, budget = _load_rules()
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
        """The variables that name a database of a Redis, each a different one; none without Redis."""
        choices = {"CELERY_BROKER_URL": "broker", "CELERY_RESULT_BACKEND": "result_backend"}
        used = [name for name, option in choices.items() if self.answers[option] == "redis"]
        return [*used, "CACHE_URL"] if used else []

    @property
    def cache(self) -> str:
        """Where the cache is: "redis" where there is one, otherwise "local"."""
        return "redis" if self.redis_variables else "local"

    @property
    def servers(self) -> str:
        """The servers beside the database, as one name: "redis", "rabbitmq", "rabbitmq_redis"."""
        others = ["redis"] if self.redis_variables else []
        return "_".join(dict.fromkeys([self.answers["broker"], *others]))

    @property
    def databases(self) -> dict[str, str]:
        """Each alias of a database, with the variable that names it."""
        dedicated = {"true": {"celery_tasks": "TASKS_DATABASE_URL"}, "false": {}}
        return {"default": "DATABASE_URL"} | dedicated[self.answers["dedicated_task_database"]]

    @property
    def stored_apart(self) -> list[str]:
        """What the database of the tasks stores where there is one: an app, or one model of it."""
        of_results = {"database": ["django_celery_results"]}
        of_example = {"true": ["orders.job"], "false": []}
        answers = self.answers
        return [
            *of_results.get(answers["result_backend"], []),
            *of_example[answers["example_app"]],
        ]

    @property
    def database_variables(self) -> dict[str, str]:
        """Each variable that names a database, with an example."""
        database = self.answers["_databases"][self.answers["database"]]
        connection = self.answers["_db_connections"][self.answers["db_connection"]]
        port = connection.get("port", database.get("port"))
        names = {"default": "service", "celery_tasks": "service_tasks"}
        return {
            variable: database["example"].format(port=port, name=names[alias])
            for alias, variable in self.databases.items()
        }

    @property
    def connection_variables(self) -> dict[str, int]:
        """Each variable that sizes connections to the database, with its default."""
        strategy = self.answers["db_connection"]
        pooled = "pool" in self.answers["_databases"][self.answers["database"]]["strategies"]
        age = {"DATABASE_MAX_AGE": 600} if strategy == "persistent" else {}
        size = {"DATABASE_POOL_SIZE": LARGEST_POOL} if strategy in ("persistent", "pool") else {}
        return {**age, **(size if pooled else {})}

    @property
    def server_variables(self) -> dict[str, str]:
        """Each variable that names a server, with an example."""
        answers = self.answers
        redis = "redis://:password@localhost:6379"
        return {
            **self.database_variables,
            "CELERY_BROKER_URL": answers["_brokers"][answers["broker"]]["example"],
            **{name: f"{redis}/{number}" for number, name in enumerate(self.redis_variables)},
        }

    @property
    def test_variables(self) -> dict[str, str]:
        """Each variable that has the tests use a server of the CI workflow, with its URL there."""
        containers = self.answers["_services"]
        urls = {name: urlsplit(example) for name, example in self.server_variables.items()}
        return {
            f"TEST_{name}": f"{containers[url.scheme]}{url.path}"
            for name, url in urls.items()
            if url.scheme in containers
        }

    @property
    def container_variables(self) -> dict[str, str]:
        """Each variable that names a database, with the URL of a container on this machine."""
        containers = self.answers["_services"]
        urls = {name: urlsplit(example) for name, example in self.database_variables.items()}
        return {
            name: f"{containers[url.scheme].replace('localhost', '127.0.0.1')}{url.path}"
            for name, url in urls.items()
        }

    @property
    def groups(self) -> dict[str, list[str]]:
        """What supervisord runs, in the order that it starts."""
        beat = {"none": []}.get(self.answers["beat_scheduler"], ["beat"])
        flower = {"true": ["flower"], "false": []}[self.answers["use_flower"]]
        return {
            "workers": [f"worker-{worker.name}" for worker in self.workers],
            "front": ["web", *beat, *flower, "autoscale"],
        }

    @property
    def container_urls(self) -> dict[str, str]:
        """Each variable that names a server: what Compose is given, or else the server's container."""
        names = dict.fromkeys(self.server_variables, "redis")
        names |= dict.fromkeys(self.database_variables, self.database_container)
        names["CELERY_BROKER_URL"] = self.answers["broker"]
        urls = {name: urlsplit(example) for name, example in self.server_variables.items()}
        # A file keeps its name only.
        paths = {
            name: url.path if url.netloc else f"/{Path(url.path).name}"
            for name, url in urls.items()
        }
        return {
            name: f"${{{name}:-{self.answers['_containers'][names[name]]['url']}{path}}}"
            for name, path in paths.items()
        }

    @property
    def database_container(self) -> str:
        """What processes connect to for the database: "postgresql", "pgbouncer", "mysql", "sqlite"."""
        by_strategy = {"pgbouncer": "pgbouncer"}
        return by_strategy.get(self.answers["db_connection"], str(self.answers["database"]))

    @property
    def containers(self) -> list[str]:
        """The servers that Compose may run; templates/compose/servers/ has a file for each."""
        behind = {"pgbouncer": ["postgresql"], "sqlite": []}
        own = [*behind.get(self.database_container, []), self.database_container]
        others = ["redis"] if self.redis_variables else []
        found = dict.fromkeys([*own, self.answers["broker"], *others])
        return [name for name in found if name != "sqlite"]

    @property
    def tasks_server(self) -> str:
        """The kind of server that has the second database, or "none"."""
        dedicated = {"true": str(self.answers["database"]), "false": "none"}
        return dedicated[self.answers["dedicated_task_database"]]

    @property
    def container_secrets(self) -> list[str]:
        """The variables that hold these servers' passwords."""
        rows = (self.answers["_containers"][name] for name in self.containers)
        return [name for row in rows for name in row.get("secrets", ())]

    @property
    def container_volumes(self) -> list[str]:
        """The volumes of these servers, and of the service itself."""
        own = ["data"] if self.keeps_files else []
        return [*own, *(name for name in self.containers if name != "pgbouncer")]

    @property
    def other_services(self) -> list[str]:
        """What Compose runs of the service beside the web and the workers."""
        aliases = list(self.databases)[1:]
        beat = {"none": []}.get(self.answers["beat_scheduler"], ["beat"])
        flower = {"true": ["flower"], "false": []}[self.answers["use_flower"]]
        return [*beat, *flower, "migrate", *(f"migrate-{alias}" for alias in aliases)]

    @property
    def profiles(self) -> list[str]:
        """What Compose starts beside the service itself, unless somebody takes it out."""
        flower = {"true": ["flower"], "false": []}
        return [*self.containers, *flower[self.answers["use_flower"]]]

    @property
    def keeps_files(self) -> bool:
        """Whether the service itself writes files that must outlive a deployment."""
        files = {"sqlite", "file"}
        return not files.isdisjoint((self.answers["database"], self.answers["beat_scheduler"]))

    @property
    def services(self) -> list[str]:
        """These servers, each once; templates/ci/ has a container for each."""
        return list(dict.fromkeys(urlsplit(url).scheme for url in self.test_variables.values()))

    @property
    def apps(self) -> list[str]:
        """What INSTALLED_APPS holds beside Django's own: other people's, then ours."""
        return [
            *(app for row in self._rows for app in row.get("apps", ())),
            "accounts",
            "workers",
            *(app for row in self._rows for app in row.get("own_apps", ())),
        ]

    @property
    def middleware(self) -> list[str]:
        """What stands between the answers to probes and everything else that answers."""
        return [name for row in self._rows for name in row.get("middleware", ())]

    @property
    def settings(self) -> list[str]:
        """The modules of config/settings/, sorted."""
        return self._collected("settings")

    @property
    def left_out(self) -> list[str]:
        """The files and folders that the answers leave out."""
        return [path for row in self._rows for path in row.get("left_out", ())]

    @property
    def untyped(self) -> list[str]:
        """The modules that come without types, sorted."""
        return self._collected("untyped")

    @property
    def skip(self) -> list[str]:
        """What a team makes its own, so that no update touches it; sorted."""
        return self._collected("skip")

    @property
    def dependencies(self) -> list[str]:
        """What the rendered project needs to run, sorted."""
        return self._collected("requirements")

    @property
    def dev_dependencies(self) -> list[str]:
        """What its developers need beside that, sorted."""
        return self._collected("dev_requirements")

    @property
    def needs(self) -> str:
        """What must be there beside Python to start the rendered project, as a sentence goes on."""
        *others, last = ["make", *(name for row in self._rows for name in row.get("needs", ()))]
        return "".join(f", {name}" for name in others) + f" and {last}"

    @property
    def problems(self) -> list[Any]:
        """Everything that is wrong with the answers, in the order of the questions."""
        answers = self.answers
        return [
            *_text_problems(answers),
            *self._slug_problems(),
            *self._connection_problems(),
            *self._dedicated_problems(),
            *self._result_backend_problems(),
            *(problem for _, found in self._parsed_workers for problem in found),
            *self._repeated_routes(),
            *rules.problems(self.workers, self.routes),
            *(rules.quorum_problems(self.workers) if answers["broker"] == "rabbitmq" else ()),
        ]

    @property
    def choices(self) -> str:
        """What was chosen, on a few lines, for a person who wants to see a typo."""
        own = ("project_name", "description", "queues", "task_routes")  # shown by other means
        words = [f"{name}={value}" for name, value in self._public.items() if name not in own]
        return textwrap.fill(" ".join(words), WIDTH, break_long_words=False)

    @property
    def table(self) -> str:
        """The workers as a table, for a person who wants to see what was understood."""
        heads = ("worker", "queues", "pool", "concurrency", "processes", "connections", "routes")
        rows = [heads, *(self._row(worker) for worker in self.workers)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
        return "\n".join(lines)

    def _row(self, worker: Any) -> tuple[str, ...]:
        routes = [task for task, queue in self.routes.items() if queue in worker.consumes]
        if worker is self.workers[0]:
            routes.append("everything else")
        database, strategy = self.answers["database"], self.answers["db_connection"]
        return (
            worker.name,
            " ".join(worker.consumes),
            worker.pool,
            _bounds(worker.concurrency),
            _bounds(worker.processes),
            budget.share(worker, strategy, database, LARGEST_POOL).how,
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
        record = {"template_version": self.answers["_template_version"], "answers": self._public}
        return json.dumps(record, indent=2, ensure_ascii=False)

    @property
    def _public(self) -> dict[str, str]:
        return {name: value for name, value in self.answers.items() if not name.startswith("_")}

    @property
    def _rows(self) -> list[Mapping[str, Any]]:
        """What the tables say of each choice; nothing of a choice that does not exist."""
        answers = self.answers
        return [
            answers["_django_versions"][answers["django_version"]],
            answers["_databases"][answers["database"]],
            answers["_db_connections"][answers["db_connection"]],
            answers["_dedicated_task_databases"][answers["dedicated_task_database"]],
            answers["_brokers"][answers["broker"]],
            answers["_example_apps"][answers["example_app"]],
            answers["_result_backends"].get(answers["result_backend"], {}),
            *(answers["_pools"].get(worker.pool, {}) for worker in self.workers),
            answers["_beat_schedulers"][answers["beat_scheduler"]],
            answers["_deployments"][answers["deployment"]],
            answers["_flower"][answers["use_flower"]],
        ]

    def _collected(self, kind: str) -> list[str]:
        ours = self.answers[f"_{kind}"]
        return sorted({*ours, *(name for row in self._rows for name in row.get(kind, ()))})

    def _connection_problems(self) -> Iterable[Any]:
        database, strategy = self.answers["database"], self.answers["db_connection"]
        known = self.answers["_databases"][database]["strategies"]
        if strategy not in known:
            reason = f"{database} cannot do that"
            remedy = f"choose one of: {', '.join(known)}, or postgresql"
            yield Problem(f"db_connection {strategy}", reason, remedy)

    def _dedicated_problems(self) -> Iterable[Any]:
        if self.answers["dedicated_task_database"] == "true" and not self.stored_apart:
            remedy = "choose result_backend=database or example_app=true, or leave it out"
            yield Problem("dedicated_task_database true", "nothing would be stored there", remedy)

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
        if DEVICE.fullmatch(slug):
            reason = "the name of a device on Windows"
            yield Problem(slug, reason, f"choose another, such as {slug}-service")
        taken = {_distribution(name) for name in (*self.dependencies, *self.dev_dependencies)}
        if _distribution(slug) in taken:
            reason = "the name of a package that the project depends on"
            yield Problem(slug, reason, f"choose another, such as {slug}-service")


class TopologyExtension(Extension):
    """What the template's files may call."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        # An update renders two versions of the template in one process, from one folder: each
        # loads its own logic. Bytecode cannot tell files of one size and second apart.
        sys.modules.pop(__name__, None)
        with suppress(OSError):
            Path(cache_from_source(__file__)).unlink()
        environment.template_class = _Answer
        environment.globals["topology"] = Topology
        environment.filters |= {
            "accept": accept,
            "declaration": declaration,
            "markdown": markdown,
            "python": python,
            "routes_into": routes_into,
            "slug": slug,
            "star_import": star_import,
            "toml": toml,
        }

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        """Refuse an answer that is no valid Jinja."""
        if name is None and _JINJA.search(source):
            _Answer.source = source
            plain = self.environment.overlay()
            plain.extensions = {}
            try:
                plain.compile(source)
            except Exception as error:  # Python's too: too deeply nested, too many digits
                raise _unreadable(source, error) from None
        return source


class _Answer(Template):
    """What Cookiecutter renders by itself: answers from its command line, and names of files."""

    source = ""  # of the latest one: each is rendered as soon as it was read

    def render(self, *args: Any, **kwargs: Any) -> str:
        try:
            return super().render(*args, **kwargs)
        except FailedHookException:
            raise
        except Exception as error:
            if self.name is not None:
                raise  # a file of the template: its author wants the traceback
            raise _unreadable(self.source, error) from error


def _unreadable(text: str, error: Exception) -> FailedHookException:
    reason = _shown(str(error) or type(error).__name__, LONGEST_REASON)
    return _refusal(
        f"An answer cannot be read: {_shown(text)}",
        f"Cookiecutter takes it for Jinja ({reason}); leave out {{{{, {{%, {{# and # %.",
    )


def _refusal(*lines: str) -> FailedHookException:
    # A terminal may lack characters that an answer has.
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return FailedHookException(
        "\n".join(lines).encode(encoding, "backslashreplace").decode(encoding)
    )


def accept(answers: Answers) -> str:
    """Return "yes" where the answers can work.

    Raises FailedHookException, which Cookiecutter shows without a traceback and before it writes
    anything, with every problem and with the command that repeats the answers.
    """
    problems = Topology(answers).problems
    if problems:
        raise _refusal(
            f"These answers cannot work ({len(problems)}):",
            "",
            *map(_line, problems),
            "",
            "Nothing was written. The same answers again, ready to be corrected:",
            "",
            f"  {_command(answers)}",
        )
    return "yes"


def _line(problem: Any) -> str:
    reason, remedy = (_shown(text, LONGEST_REASON) for text in (problem.reason, problem.remedy))
    return f"  - {_shown(problem.value) or repr('')}: {reason}; {remedy}."


def slug(name: str) -> str:
    """Return the default slug of a project's name."""
    return re.sub(r"^[^a-z]+", "", slugify(name))[:LONGEST_SLUG].strip("-") or "service"


def routes_into(routes: str, queues: str, example_app: str) -> str:
    """Return those of the example's routes whose queue is among the answered ones, if any."""
    if example_app != "true":
        return ""
    names = {word.partition(":")[0] for word in _words(queues)}
    return " ".join(route for route in _words(routes) if _parse_route(route)[1] in names)


def declaration(worker: Any) -> str:
    """Return the source of a worker as a person would write it."""
    return f'Worker("{worker.name}", pool="{worker.pool}", concurrency={worker.concurrency})'


def star_import(module: str) -> str:
    """Return the line that takes over a module of the settings."""
    return f"from config.settings.{module} import *"


def toml(text: str) -> str:
    """Return a one-line text as a string of TOML, YAML or JSON."""
    return f'"{_escaped(text, chr(34))}"'


def python(text: str) -> str:
    """Return a one-line text as a literal of Python, in the quotes that a formatter prefers."""
    quote = "'" if text.count('"') > text.count("'") else '"'
    return f"{quote}{_escaped(text, quote)}{quote}"


def markdown(text: str) -> str:
    """Return a one-line text that Markdown shows as it is."""
    text = re.sub(r"([\\`*_\[\]<>#&|~])", r"\\\1", text.strip())
    # What would start a list or draw a rule.
    return re.sub(r"^(\d*)([-+.)])(?=[ -]|$)", r"\1\\\2", text)


def _escaped(text: str, quote: str) -> str:
    return text.replace("\\", "\\\\").replace(quote, f"\\{quote}")


def _words(text: object) -> list[str]:
    return [word for word in re.split(r"[\s,]+", str(text)) if word]


def _parse_worker(word: str, default_pool: str) -> tuple[Any, list[Any]]:
    """Return the worker of `name[:pool[:concurrency]]`, and what could not be read."""
    name, pool, concurrency, *_ = [*word.split(":"), "", ""]
    pool = pool or default_pool
    found = []
    if word.count(":") > 2:
        found.append(Problem(word, "more than three parts", "write name:pool:concurrency"))
    size: int | tuple[int, int] = pools.POOLS[pool].concurrency if pool in pools.POOLS else 1
    if match := re.fullmatch(r"([0-9]{1,99})(?:-([0-9]{1,99}))?", concurrency):
        low, high = match.groups()
        size = (int(low), int(high)) if high else int(low)
    elif concurrency:
        remedy = "give a number, or a range such as 2-8"
        found.append(Problem(word, "the concurrency is no number", remedy))
    return Worker(name, pool=pool, concurrency=size), found


def _parse_route(word: str) -> tuple[str, str]:
    task, _, queue = word.partition("=")
    return task, queue


def _text_problems(answers: Answers) -> Iterable[Any]:
    for option in ("project_name", "description"):
        text = str(answers[option])
        value = f"{option} {text!r}"
        hidden = [letter for letter in text if not (letter.isprintable() or letter in JOINERS)]
        if hidden:
            reason = f"{hidden[0]!r} cannot be seen"
            yield Problem(value, reason, "write one line of visible text")
        elif not text.strip(f" {JOINERS}"):
            yield Problem(value, "empty", "write one line of visible text")
        if len(text) > LONGEST_TEXT:
            yield Problem(value, f"{len(text)} characters", f"use at most {LONGEST_TEXT}")
        elif option == "project_name" and (width := cell_len(python(text)) - 2) > WIDEST_NAME:
            yield Problem(value, f"{width} columns wide", f"use at most {WIDEST_NAME}")


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
    letters = (c if c.isprintable() and c not in "\\'" else f"\\U{ord(c):08x}" for c in word)
    return f"$'{''.join(letters)}'"


def _distribution(name: str) -> str:
    """Return the normalised name of a distribution, without extras and versions (PEP 503)."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^A-Za-z0-9._-]", name)[0]).lower()


def _bounds(bounds: int | tuple[int, int]) -> str:
    return f"{bounds[0]}-{bounds[1]}" if isinstance(bounds, tuple) else str(bounds)


def _shown(text: str, longest: int = LONGEST_SHOWN) -> str:
    """Return a text on one line, short enough to be read."""
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return line if len(line) <= longest else f"{line[:longest]}…"
