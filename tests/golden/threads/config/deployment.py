"""What the files of the deployment repeat of config/; `manage.py check` holds them to it."""

from config import queues
from config.limits import GRACE

# By file: the lines of each worker.
WORKERS = {
    "deploy/supervisor/supervisord.conf": """\
[program:worker-{name}]
command = .venv/bin/python -m workers.run {name} --process %(process_num)d
process_name = %(program_name)s-%(process_num)d
numprocs = {most}
numprocs_start = 1
autostart = {fixed}
autorestart = true
killasgroup = true
stopwaitsecs = {stop_wait}
redirect_stderr = true
stdout_logfile = %(here)s/var/%(program_name)s-%(process_num)d.log
""",
}

# By file: a line that it has.
LINES = {
    "deploy/supervisor/supervisord.conf": "programs = "
    + ",".join(f"worker-{worker.name}" for worker in queues.WORKERS),
    "deploy/supervisor/jobs.service": f"TimeoutStopSec={GRACE}",
}
