"""Scripts that print for a person: of the log they show errors alone, and a server that is down is told in one line."""

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any

from loguru import logger

from pkg.errors import DeadlineExceeded, DependencyUnavailable
from pkg.log import quiet_drivers

SERVER_IS_DOWN = 2


def quiet_logs() -> None:
    """Show errors alone."""
    quiet_drivers()
    logger.remove()
    logger.add(sys.stderr, level="ERROR", format="{message}")


def run_to_status(work: Coroutine[Any, Any, int], *, failing: str) -> int:
    """Run a script's work and return its exit status, which is 2 where a server is down; `failing` begins the line that says so."""
    quiet_logs()
    try:
        return asyncio.run(work)
    except (DependencyUnavailable, DeadlineExceeded) as exc:
        print(f"{failing}: {exc.detail or exc}", file=sys.stderr)
        return SERVER_IS_DOWN
