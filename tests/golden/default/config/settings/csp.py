"""Content-Security-Policy: what a page may load and where it may send, by django-csp."""

from csp.constants import NONE, SELF

# No 'unsafe-inline' and no 'unsafe-eval': a script that somebody smuggles into a page does not run.
# What a page needs stands in files of its own.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        # What no other directive names: scripts, styles, images, fonts, requests of scripts.
        "default-src": [SELF],
        # No plugins.
        "object-src": [NONE],
        # A <base> that was smuggled in cannot lead relative links elsewhere.
        "base-uri": [SELF],
        # Nobody shows our pages in a frame of theirs, to have a visitor click there unawares.
        "frame-ancestors": [NONE],
        # Forms are sent to us alone; the default does not cover them.
        "form-action": [SELF],
    },
}
