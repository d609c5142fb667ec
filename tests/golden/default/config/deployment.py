"""What the files of the deployment repeat of config/; `manage.py check` holds them to it."""

from config.limits import GRACE

# By file: the lines of each worker.
WORKERS = {
    "compose.yaml": """\
  worker-{name}:
    <<: *worker
    command: [python, -m, workers.run, {name}]
    scale: {least}
""",
    "compose.override.yaml": """\
  worker-{name}:
    <<: *developed
    command: [python, -m, dev.reload, workers.run, {name}]
""",
}

# By file: a line that it has.
LINES = {
    "compose.yaml": f"  stop_grace_period: {GRACE}s",
}
