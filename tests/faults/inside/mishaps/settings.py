"""What a cell changes of the settings, from its environment."""

import json
import os
from typing import Any

from config.settings import broker

_changes: dict[str, Any] = json.loads(os.environ.get("FAULT_SETTINGS", "{}"))
globals().update(_changes)

if _connections := os.environ.get("FAULT_MAX_CONNECTIONS"):
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        **broker.CELERY_BROKER_TRANSPORT_OPTIONS,
        "max_connections": int(_connections),
    }
