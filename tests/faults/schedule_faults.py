"""Faults of beat."""

import signal
import time

from tests.faults import numbers
from tests.faults.cells import Fault
from tests.faults.programs import Program
from tests.faults.scene import Scene, program
from tests.faults.worker_faults import gone

EVERY = 2  # seconds between two ticks
LONG = 6 * EVERY
TICKING = {
    "CELERY_BEAT_SCHEDULE": {
        "tick": {"task": "mishaps.tasks.tick", "schedule": EVERY, "options": {"expires": 60}}
    }
}
BEAT = {"beat_scheduler": "file"}


def beat(scene: Scene, name: str) -> Program:
    """Start a beat, with a schedule file of its own."""
    made = program(
        scene,
        name,
        *("celery", "-A", "config", "beat", "--schedule", str(scene.folder / f"{name}.schedule")),
    )
    made.start()
    scene.beats.append(made)
    scene.supervisor.programs.append(made)
    return made


def ticks(scene: Scene) -> int:
    """Return how often the periodic task ran."""
    return len(list(scene.books.lines("ticks")))


def beat_killed(scene: Scene) -> str:
    """Started again, it goes on."""
    one = beat(scene, "beat")
    scene.until(lambda: ticks(scene) >= 2, numbers.START, "beat ticks")
    pid = one.pid
    one.send(signal.SIGKILL)
    gone(pid)
    before = ticks(scene)
    scene.until(lambda: ticks(scene) >= before + 2, numbers.START, "beat goes on")
    return f"{pid} killed"


def two_beats(scene: Scene) -> str:
    """Each run happens once."""
    for name in ("beat-1", "beat-2"):
        beat(scene, name)
    scene.until(lambda: ticks(scene) >= 2, numbers.START, "they tick")
    before, begun = ticks(scene), time.monotonic()
    time.sleep(LONG)
    count = ticks(scene) - before
    most = (time.monotonic() - begun) / EVERY + 2
    assert count <= most, f"{count} runs in {LONG} s, of one each {EVERY} s"
    return f"{count} runs in {LONG} s"


SCHEDULE_FAULTS = [
    Fault("S1", "beat killed", beat_killed, answers=BEAT, settings=TICKING, extra=4),
    Fault("S2", "two beats", two_beats, answers=BEAT, settings=TICKING, extra=4),
]
