"""How Flower shows workers and tasks: `celery -A config flower --conf=config/flower.py`."""

from functools import partial

from tornado.ioloop import PeriodicCallback

from config.environment import env
from workers import health

_user, _password = env.str("FLOWER_USER", default="admin"), env.str("FLOWER_PASSWORD", default="")
if not _password:
    # Without one, Flower would show everything to anybody, and let them end workers.
    raise SystemExit("Cannot start: FLOWER_PASSWORD is not set. See .env.example.")
basic_auth = [f"{_user}:{_password}"]

# Signs the session: by default another one at each start, which would end every session.
cookie_secret = env.str("FLOWER_COOKIE_SECRET", default="") or None

# Nobody from outside, unless it is behind something that lets in the right ones.
address = env.str("FLOWER_ADDRESS", default="127.0.0.1")
port = env.int("FLOWER_PORT", default=5555)
url_prefix = "flower"

# Says that its loop turns (`python -m workers.health flower`). Milliseconds.
PeriodicCallback(partial(health.beat, "flower"), 1000 * health.EVERY).start()
