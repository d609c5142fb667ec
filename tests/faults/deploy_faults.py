"""Faults of deployments: old and new code at once, under load."""

import dataclasses
import shutil
import signal
from collections.abc import Mapping

import psycopg

from tests.faults import numbers
from tests.faults.cells import Fault
from tests.faults.programs import Program
from tests.faults.projects import QUEUE
from tests.faults.scene import Scene
from tests.faults.worker_faults import busy

# Of each release, by file, what is written instead of what. As docs/rolling-deploys.md has it.
RENAMED = {
    "loyalty/tasks.py": {
        "def book_points(": "def enter_points(",
        "services.book(grant_id)\n": (
            "services.book(grant_id)\n\n\n"
            '@shared_task(name="loyalty.tasks.book_points")\n'
            "def book_points_by_its_old_name(grant_id: str) -> None:\n"
            '    """For messages that were sent before the deployment."""\n'
            "    enter_points(grant_id)\n"
        ),
    },
    "loyalty/views.py": {"book_points": "enter_points"},
    "mishaps/views.py": {"book_points": "enter_points"},
}
POINTS = "points"  # the queue of the second release, and its worker
REROUTED = {
    "config/queues.py": {
        "),\n]": f'),\n    Worker("{POINTS}"),\n]',
        "ROUTES: dict[str, str] = {}": f'ROUTES = {{"loyalty.tasks.*": "{POINTS}"}}',
    }
}
PUT_ASIDE = "SELECT count(*) FROM workers_deadletter WHERE reason = 'unknown' AND state = %s"


def release(scene: Scene, changes: Mapping[str, Mapping[str, str]]) -> None:
    """Have everything that is started from now on run other code."""
    path = scene.folder / "next" / scene.project.path.name
    shutil.copytree(scene.project.path, path, symlinks=True)
    for name, replaced in changes.items():
        text = (path / name).read_text()
        for old, new in replaced.items():
            assert old in text, f"{name} has no {old!r}"
            text = text.replace(old, new)
        (path / name).write_text(text)
    scene.project = dataclasses.replace(scene.project, path=path)


def restart_web(scene: Scene) -> None:
    """Replace the web, which is not there for a moment."""
    pid = scene.web.pid
    scene.web.folder = scene.project.path
    scene.web.send(signal.SIGTERM)
    scene.web.wait_gone(pid, 30)
    scene.until(lambda: scene.web.pid != pid and scene.ready(), numbers.START, "the web is back")


def ready(scene: Scene, *workers: Program) -> None:
    """Wait until workers consume."""
    scene.until(lambda: all(each.is_ready() for each in workers), numbers.START, "they are ready")


def retire(scene: Scene, leaving: list[Program]) -> None:
    """Stop workers for good, and see them end well."""
    for worker in leaving:
        worker.held = True
        worker.send(signal.SIGTERM)
    codes = [worker.wait_gone(worker.pid, numbers.DRAIN + 5) for worker in leaving]
    assert codes == [0] * len(leaving), codes
    scene.workers[:] = [worker for worker in scene.workers if worker not in leaving]


def scaled_in(scene: Scene) -> str:
    """Half of the workers are stopped for good."""
    busy(scene)
    leaving = scene.workers[: len(scene.workers) // 2]
    retire(scene, leaving)
    return f"{len(leaving)} stopped"


def old_and_new(scene: Scene) -> str:
    """A task is renamed, and against the rules the web comes first: old workers do not know it."""
    busy(scene)
    old = list(scene.workers)
    release(scene, RENAMED)
    restart_web(scene)
    new = [scene.add_worker() for _ in old]
    ready(scene, *new)

    def put_aside(state: str) -> int:
        with psycopg.connect(scene.database) as connection:
            row = connection.execute(PUT_ASIDE, (state,)).fetchone()
        return int(row[0]) if row else 0

    scene.until(
        lambda: put_aside("sent"), numbers.START, "what old workers did not know is sent again"
    )
    retire(scene, old)
    scene.until(lambda: not put_aside("waiting"), numbers.START, "all of it is sent again")
    count = put_aside("sent")
    return f"{len(old)} old and {len(new)} new workers, {count} tasks unknown to the old ones"


def rerouted(scene: Scene) -> str:
    """A task gets a queue and a worker of its own while the old queue is full of it."""
    busy(scene)
    retire(scene, list(scene.workers))
    waiting = scene.until(
        lambda: scene.broker.backlog(scene.broker_url, [QUEUE])[QUEUE] >= numbers.IN_FLIGHT,
        numbers.START,
        f"{numbers.IN_FLIGHT} messages wait in the old queue",
    )
    assert waiting
    release(scene, REROUTED)
    restart_web(scene)
    worker = scene.add_worker(POINTS)
    scene.queues.append(POINTS)
    ready(scene, worker, scene.add_worker())

    def taken() -> int:
        ours = {str(worker.pid), *(str(child.pid) for child in worker.children())}
        return sum(words[4] in ours for words in scene.books.lines("starts"))

    return f"{scene.until(taken, numbers.START, 'the new queue is used')} taken from the new queue"


DEPLOY_FAULTS = [
    Fault("S4", "old and new workers together", old_and_new, web_stays=False),
    Fault("S5", "scale-in under load", scaled_in, processes=4),
    Fault("S6", "a route changed with messages in the old queue", rerouted, web_stays=False),
]
