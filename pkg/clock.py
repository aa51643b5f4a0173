"""Wall-clock time as the whole system writes it: integers since the Unix epoch, UTC."""

import time


def now_ms() -> int:
    """Return the current time in milliseconds."""
    return time.time_ns() // 1_000_000
