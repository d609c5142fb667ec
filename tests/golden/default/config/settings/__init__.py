"""Settings, one module per concern. Whatever differs between machines comes from the environment."""

from environs import EnvError

try:
    from config.settings.base import *
    from config.settings.beat import *
    from config.settings.broker import *
    from config.settings.caches import *
    from config.settings.connections import *
    from config.settings.csp import *
    from config.settings.databases import *
    from config.settings.logs import *
    from config.settings.mail import *
    from config.settings.orders import *
    from config.settings.results import *
    from config.settings.security import *
    from config.settings.tasks import *
    from config.settings.web import *
except EnvError as error:
    # One sentence instead of a traceback, whichever program was started.
    raise SystemExit(f"Cannot start: {error}. See .env.example.") from None
