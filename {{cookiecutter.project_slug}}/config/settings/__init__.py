"""Settings, one module per concern. Whatever differs between machines comes from the environment."""

from environs import EnvError

try:
    # % for module in topology(cookiecutter).settings
    {{"from config.settings.%s import *" % module}}
    # % endfor
except EnvError as error:
    # One sentence instead of a traceback, whichever program was started.
    raise SystemExit(f"Cannot start: {error}. See .env.example.") from None
