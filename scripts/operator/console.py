"""Scripts that print for a person: of the log they show errors alone."""

import sys

from loguru import logger


def quiet_logs() -> None:
    """Show errors alone."""
    logger.remove()
    logger.add(sys.stderr, level="ERROR", format="{message}")
