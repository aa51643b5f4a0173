"""Runs the Lua scripts of scripts/, sent to Redis by their digest."""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import NoScriptError

from dal.redis.client import translated_errors

FOLDER = Path(__file__).parent / "scripts"


@cache
def read_script(name: str) -> tuple[str, str]:
    """Return text and digest of `scripts/<name>.lua`."""
    text = (FOLDER / f"{name}.lua").read_text(encoding="utf-8")
    # Redis names scripts by SHA-1; nothing here is secured by it.
    return text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def _do_nothing(_pipeline: Pipeline) -> None:
    """Add nothing."""


async def run_script(
    redis: Redis,
    name: str,
    calls: Sequence[tuple[Sequence[str], Sequence[str | int]]],
    *,
    then: Callable[[Pipeline], None] = _do_nothing,
) -> list[int]:
    """Run one script once for each (keys, arguments), all in one round trip; return the numbers that they return.

    What `then` adds to the pipeline is done behind them in the same round trip.

    Each call is atomic by itself. After an error some of them may have run.

    Raises:
        DependencyUnavailable: Redis is down, full, or did not answer in time.
    """
    text, digest = read_script(name)

    async def run() -> list[int]:
        async with redis.pipeline(transaction=False) as pipeline:
            for keys, arguments in calls:
                pipeline.evalsha(digest, len(keys), *keys, *arguments)
            then(pipeline)
            return [int(result) for result in (await pipeline.execute())[: len(calls)]]

    with translated_errors():
        try:
            return await run()
        except NoScriptError:
            # A Redis that was started again knows no scripts.
            load = cast("Callable[[str], Awaitable[Any]]", redis.script_load)
            await load(text)
            return await run()
