"""What is not proven: cells that are degraded, and faults that no cell has yet. Committed, with reasons."""

# By fault, or by fault and broker: what is lost at the most, and why it must be so.
DEGRADED = {
    "B7": (
        "at most what stood in the deleted queue; a broker that is told to delete confirmed messages "
        "does so. Workers declare the queue again and go on."
    ),
    "B9-redis": (
        "at most what was in flight: a Redis without `appendonly yes` comes back empty. "
        "Workers say so; the template's own deployment has it on."
    ),
}

NOT_YET = {
    "S3": "clock jump: needs a clock of a cell's own",
}


def degraded(cell: str) -> str:
    """Return why a cell may lose something, empty where it may not."""
    return next((why for name, why in DEGRADED.items() if f"{cell}-".startswith(f"{name}-")), "")
