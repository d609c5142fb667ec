"""Content-Security-Policy: what a page may load and where it may send, by Django itself."""

from django.utils.csp import CSP

# No 'unsafe-inline' and no 'unsafe-eval': a script that somebody smuggles into a page does not run.
# What a page needs stands in files of its own.
SECURE_CSP = {
    # What no other directive names: scripts, styles, images, fonts, requests of scripts.
    "default-src": [CSP.SELF],
    # No plugins.
    "object-src": [CSP.NONE],
    # A <base> that was smuggled in cannot lead relative links elsewhere.
    "base-uri": [CSP.SELF],
    # Nobody shows our pages in a frame of theirs, to have a visitor click there unawares.
    "frame-ancestors": [CSP.NONE],
    # Forms are sent to us alone; the default does not cover them.
    "form-action": [CSP.SELF],
}
