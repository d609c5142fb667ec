"""How mail leaves."""

from environs import EnvError

from config.environment import env

DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="webmaster@localhost")

# smtp://, submission:// (TLS), file:////folder or console://
_mail = env.dj_email_url("EMAIL_URL", default="smtp://localhost:25")
if "EMAIL_BACKEND" not in _mail:
    raise EnvError('Environment variable "EMAIL_URL" does not start with a known scheme')
globals().update(_mail)

# Without it a mail server that stopped answering would hold a worker's slot for ever. Seconds.
EMAIL_TIMEOUT = 10
