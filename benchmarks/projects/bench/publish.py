"""Sends a task so many times: python -m bench.publish TASK TIMES [QUEUE]"""

import sys

from bench.app import load

if __name__ == "__main__":
    name, times, *queue = sys.argv[1:]
    task = load().tasks[name]
    for _ in range(int(times)):
        task.apply_async(**{"queue": queue[0]} if queue else {})
