"""Times `.delay()`, and prints the nanoseconds of each call as JSON: python -m bench.delay TASK CALLS

Each call alone, in a process that is set up as a web process is. A whole request around it would
add the same milliseconds to every variant, and so hide how they differ.
"""

import json
import sys
from time import perf_counter_ns

from bench.app import load

WARM_UP = 100  # calls: the first one connects and declares the queue

if __name__ == "__main__":
    name, calls = sys.argv[1:]
    task = load().tasks[name]
    for _ in range(WARM_UP):
        task.delay()
    nanoseconds = []
    for _ in range(int(calls)):
        start = perf_counter_ns()
        task.delay()
        nanoseconds.append(perf_counter_ns() - start)
    print(json.dumps(nanoseconds))
