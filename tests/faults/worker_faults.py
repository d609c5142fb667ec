"""Faults of workers."""

import os
import signal
import time
from contextlib import suppress

import psutil

from tests.faults import numbers
from tests.faults.cells import Fault
from tests.faults.programs import awaited
from tests.faults.scene import Scene

NO_CHILD = (
    "threads, greenlets and solo have no child: what ends one of their tasks ends the process (W4)"
)
NO_LIMIT = "threads, eventlet and solo have no time limits (docs/pools.md)"
LATER = 20  # tasks with a countdown
ROUNDS = 8  # rolling restarts


def busy(scene: Scene, number: int = 0) -> int:
    """Return the process number of a worker once tasks run in it: their start is noted."""
    worker = scene.workers[number]

    def begun() -> bool:
        ours = {str(pid) for pid in (worker.pid, *(child.pid for child in worker.children()))}
        return any(words[4] in ours for words in scene.books.lines("starts"))

    scene.until(begun, 30, f"a task has begun in {worker.name}")
    return worker.pid


def gone(pid: int, seconds: float = 10) -> None:
    """Wait until a process is gone. Raises AssertionError where it stays."""

    def is_gone() -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    awaited(is_gone, seconds, f"{pid} is gone")


def died_of(scene: Scene, mishap: str) -> int:
    """Wait until a mishap was suffered and its process is gone, and return its number."""
    scene.fired(mishap)
    lines = awaited(lambda: scene.books.lines("mishaps"), 5, "the mishap is noted")
    pid = int(list(lines)[-1][-1])
    gone(pid)
    return pid


def terminated(scene: Scene) -> str:
    """It ends within its grace, with 0."""
    pid = busy(scene)
    scene.workers[0].send(signal.SIGTERM)
    code = scene.workers[0].wait_gone(pid, numbers.DRAIN + 5)
    assert code == 0, f"ended with {code}"
    return f"{pid} ended with 0"


def quitted(scene: Scene) -> str:
    """It ends at once, and leaves what it had in hand to others."""
    pid = busy(scene)
    scene.workers[0].send(signal.SIGQUIT)
    code = scene.workers[0].wait_gone(pid, numbers.DRAIN + 5)
    assert code == 0, f"ended with {code}"
    return f"{pid} ended with 0"


def repeated(scene: Scene) -> str:
    """Whoever is in a hurry sends TERM again and again."""
    pid = busy(scene)
    for _ in range(3):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        time.sleep(0.3)
    code = scene.workers[0].wait_gone(pid, numbers.DRAIN + 5)
    assert code == 0, f"ended with {code}"
    return f"{pid} ended with 0"


def killed(scene: Scene) -> str:
    """The main process, with a task of it under way."""
    pid = busy(scene)
    os.kill(pid, signal.SIGKILL)
    code = scene.workers[0].wait_gone(pid, 10)
    assert code == -signal.SIGKILL, f"ended with {code}"
    return f"{pid} killed"


def child_killed(scene: Scene) -> str:
    """A child, in the middle of a task."""
    scene.arm("die-in-charge")
    return f"child {died_of(scene, 'die-in-charge')} killed"


def grown(scene: Scene) -> str:
    """A task takes more memory than a child may have."""
    scene.arm("grow-in-book")
    return f"child {died_of(scene, 'grow-in-book')} replaced"


def frozen(scene: Scene) -> str:
    """A worker stops, its tasks are handed to others, and it goes on with them."""
    pid = busy(scene)
    processes = [psutil.Process(pid), *scene.workers[0].children()]
    before = scene.books.all().duplicates
    held = scene.ledger().open()
    for process in processes:
        process.suspend()
    awaited(lambda: processes[0].status() == psutil.STATUS_STOPPED, 5, f"{pid} is stopped")
    try:
        # A stopped one may hold the lock of a row, for which others wait until it goes on.
        with suppress(AssertionError):
            scene.until(
                lambda: not held & scene.ledger().open(),
                numbers.REDELIVERY[scene.broker.name] + 20,
                "others have done what it had in hand",
            )
    finally:
        for process in reversed(processes):
            process.resume()
    again = scene.books.all().duplicates - before
    return f"{pid} stopped, {again} of its tasks handed out again, and continued"


def stalled(scene: Scene) -> str:
    """Two tasks hang, and ignore the soft limit."""
    found = []
    for mishap in ("stall-in-book", "stall-in-charge"):
        scene.arm(mishap)
        scene.fired(mishap)
    for _, key, pid in list(scene.books.lines("mishaps")):
        scene.until(
            lambda key=key: scene.ledger().states(key),  # type: ignore[misc]
            3 * numbers.TASK + 20,
            f"{key} was ended",
        )
        if scene.pool == "prefork":
            gone(int(pid))
        found.append(pid)
    return f"ended by the limit in {', '.join(found)}"


def out_of_grace(scene: Scene) -> str:
    """TERM, and KILL before its task is done, as an impatient deployment does."""
    scene.arm("stall-in-charge")
    scene.fired("stall-in-charge")
    pid = int(list(scene.books.lines("mishaps"))[-1][-1])
    worker = next(
        each
        for each in scene.workers
        if pid in (each.pid, *(child.pid for child in each.children()))
    )
    main = worker.pid
    worker.send(signal.SIGTERM)
    time.sleep(2)
    assert worker.process.is_running(), "it has not waited for its task"
    worker.kill_all()
    code = worker.wait_gone(main, 10)
    gone(pid)
    return f"{main} had TERM, and ended with {code}"


def all_killed(scene: Scene) -> str:
    """Every worker, and nobody is there for a while."""
    busy(scene)
    pids = []
    for worker in scene.workers:
        worker.held = True
        pids += worker.kill_all()
    for pid in pids:
        gone(pid)
    time.sleep(2)
    for worker in scene.workers:
        worker.held = False
    return f"{len(pids)} processes killed"


def rolled(scene: Scene) -> str:
    """One worker in five is replaced, again and again."""
    busy(scene)
    for number in range(ROUNDS):
        worker = scene.workers[number % len(scene.workers)]
        pid = worker.pid
        worker.send(signal.SIGTERM)
        code = worker.wait_gone(pid, numbers.DRAIN + 5)
        assert code == 0, f"{worker.name} ended with {code}"
        scene.until(
            lambda worker=worker, pid=pid: worker.pid != pid and worker.is_ready(),  # type: ignore[misc]
            numbers.START,
            "the next one is ready",
        )
    return f"{ROUNDS} times replaced"


def killed_after_the_effect(scene: Scene) -> str:
    """Committed, and not yet acknowledged."""
    pids = []
    for task in (
        "loyalty.tasks.book_points",
        "orders.tasks.call_gateway",
        "orders.tasks.send_receipt",
    ):
        scene.rush()
        scene.arm(f"die-after-{task}")
        pids.append(str(died_of(scene, f"die-after-{task}")))
        # Or a neighbour that is there each time would be taken for what kills.
        scene.catch_up()
    return f"killed after the effect: {', '.join(pids)}"


def killed_with_more_in_hand(scene: Scene) -> str:
    """With reserved tasks, and with some that wait for their countdown."""
    for _ in range(LATER):
        answer, _ = scene.stream.grant("later")
        assert answer.accepted, answer
    scene.extra = LATER
    return killed(scene)


WORKER_FAULTS = [
    Fault("W1", "TERM in mid-task", terminated),
    Fault("W2", "QUIT", quitted, again=1),
    Fault("W3", "TERM three times", repeated, again=1),
    Fault("W4", "KILL of the main process", killed, again=1),
    Fault("W5", "KILL of a child", child_killed, pools=("prefork",), reason=NO_CHILD, extra=4),
    Fault("W6", "memory limit of a child", grown, pools=("prefork",), reason=NO_CHILD, extra=4),
    # What a stopped process has locked, others wait for, until their own limit where that is short.
    Fault(
        "W7",
        "STOP, then CONT after redelivery",
        frozen,
        again=1,
        goes_on=True,
        extra=2,
        may_fail=True,
    ),
    Fault(
        "W8",
        "time limits",
        stalled,
        pools=("prefork", "gevent"),
        reason=NO_LIMIT,
        extra=4,
        may_fail=True,
    ),
    Fault("W9", "grace exceeded", out_of_grace, again=1),
    Fault("W10", "all killed, then started", all_killed, again=2),
    Fault("W11", "a fifth replaced again and again", rolled, processes=5),
    Fault("W12", "KILL between effect and acknowledgement", killed_after_the_effect, again=3),
    Fault("W13", "KILL with reserved and ETA tasks", killed_with_more_in_hand, again=1),
]
