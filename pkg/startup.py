"""Waiting for what a process needs: it may be started before its servers."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import TypeVar

from loguru import logger

from pkg.errors import DeadlineExceeded, DependencyUnavailable

RETRY_DELAY_S = 0.5
ATTEMPTS_PER_LOG_LINE = 10

T = TypeVar("T")


async def wait_until_available(what: str, attempt: Callable[[], Awaitable[T]]) -> T:
    """Return the result of the first `attempt` that finds its server; say now and then that we wait for `what`."""
    for number in itertools.count():
        try:
            return await attempt()
        except (DependencyUnavailable, DeadlineExceeded) as exc:
            if number % ATTEMPTS_PER_LOG_LINE == 0:
                logger.bind(server=what, cause=repr(exc.__cause__ or exc)).warning("waiting")
            await asyncio.sleep(RETRY_DELAY_S)
    raise AssertionError("unreachable")
