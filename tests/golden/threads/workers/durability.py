"""Says where Redis may lose tasks that it has accepted, and where it has."""

from collections.abc import Iterator
from typing import Any

from celery.utils.log import get_logger

logger = get_logger(__name__)


class Durability:
    """Looks at what a server says of itself, again and again."""

    def __init__(self) -> None:
        self.said: set[str] = set()
        self.last: dict[str, Any] = {}

    def look(self, client: Any) -> None:
        """Warn of settings, and report a loss. INFO does, because many servers refuse CONFIG."""
        now = client.info()
        for report in lost(self.last or now, now):
            logger.error(report)
        for warning in at_risk(now):
            if warning not in self.said:
                logger.warning(warning)
                self.said.add(warning)
        self.last = now


def at_risk(info: dict[str, Any]) -> Iterator[str]:
    """Yield what a server's settings put at risk, and how to mend them."""
    if not info.get("aof_enabled"):
        yield (
            "The broker keeps what it accepted in memory alone: it is lost where Redis ends. "
            "Set `appendonly yes` there."
        )
    policy = info.get("maxmemory_policy", "noeviction")
    if info.get("maxmemory") and policy != "noeviction":
        yield (
            f"The broker may throw tasks away to make room (maxmemory-policy {policy}). "
            "Set `maxmemory-policy noeviction` there."
        )


def lost(before: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    """Yield what must have been lost between two looks."""
    if before["run_id"] != now["run_id"]:
        if not before["aof_enabled"]:
            yield (
                "Redis ended without having written down what it had accepted since its last "
                "snapshot: tasks of that time are lost."
            )
    elif now["evicted_keys"] > before["evicted_keys"]:
        yield "Redis has thrown keys away to make room: tasks may be among them."
