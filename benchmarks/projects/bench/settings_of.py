"""Prints settings of Django as JSON: python -m bench.settings_of NAME …"""

import json
import sys

from django.conf import settings

if __name__ == "__main__":
    print(json.dumps({name: getattr(settings, name) for name in sys.argv[1:]}))
