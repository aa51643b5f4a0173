"""Waiting for what a process needs: it may be started before its servers."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import TypeVar

from loguru import logger

from pkg.errors import DeadlineExceeded, DependencyRefused, DependencyUnavailable

RETRY_DELAY_S = 0.5
ATTEMPTS_PER_LOG_LINE = 10

T = TypeVar("T")


async def wait_until_available(what: str, attempt: Callable[[], Awaitable[T]]) -> T:
    """Return the result of the first `attempt` that finds its server; say every few seconds that we wait for `what`.

    A server that refuses us (a wrong password, say) is waited for as well, since an operator may fix it there, but is an error in the log.
    """
    numbers = itertools.count()
    while True:
        try:
            return await attempt()
        except (DependencyUnavailable, DeadlineExceeded) as exc:
            if next(numbers) % ATTEMPTS_PER_LOG_LINE == 0:
                _say_waiting(what, exc)
            await asyncio.sleep(RETRY_DELAY_S)


def _say_waiting(what: str, exc: DependencyUnavailable | DeadlineExceeded) -> None:
    log = logger.bind(server=what, cause=repr(exc.__cause__ or exc))
    if isinstance(exc, DependencyRefused):
        log.bind(error=exc.detail).error("waiting: the server refuses us, an operator must act")
    else:
        log.warning("waiting")
