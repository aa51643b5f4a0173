"""The traces of what waits in a register or a row, which have no headers as messages do.

Only traces that every process keeps are noted, and nothing depends on them: where this Redis is down, a trace breaks off.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from redis.asyncio import Redis

from dal.redis.client import translated_errors
from dal.redis.keys import trace_key
from pkg.breaker import CircuitBreaker
from pkg.tracing import is_sampled, is_tracing

# Longer than most of it waits. What waits longer goes on in a trace of its own; the memory of this Redis is for other things.
NOTED_FOR_MS = 600_000


class TraceContexts:
    """Notes which trace brought something that is known by a number.

    Args:
        of: what it is, "favorite" or "upload".
    """

    def __init__(self, redis: Redis, of: str) -> None:
        self._redis = redis
        self._of = of
        self._breaker = CircuitBreaker("traces break off")

    async def note(self, traceparents: Mapping[int, str | None]) -> None:
        """Note the traces that are kept, by the numbers of what they brought."""
        kept = {number: value for number, value in traceparents.items() if is_sampled(value)}
        if kept:
            await self._breaker.ask(lambda: self._note(kept), otherwise=None)

    async def find(self, number: int) -> str | None:
        """Return the trace that brought this, as a traceparent."""
        [found] = await self._ask_for([number]) or [None]
        return found

    async def take(self, numbers: Sequence[int]) -> list[str]:
        """Return the traces that brought these, and forget them."""
        found = await self._ask_for(numbers)
        if known := [number for number, value in zip(numbers, found, strict=False) if value]:
            await self._breaker.ask(lambda: self._forget(known), otherwise=None)
        return [value for value in found if value]

    async def _note(self, traceparents: Mapping[int, str | None]) -> None:
        with translated_errors():
            async with self._redis.pipeline(transaction=False) as pipeline:
                for number, value in traceparents.items():
                    pipeline.set(trace_key(self._of, number), value or "", px=NOTED_FOR_MS)
                await pipeline.execute()

    async def _ask_for(self, numbers: Sequence[int]) -> list[str | None]:
        if not (numbers and is_tracing()):
            return []
        none: list[str | None] = []
        return await self._breaker.ask(lambda: self._read(numbers), otherwise=none)

    async def _read(self, numbers: Sequence[int]) -> list[str | None]:
        with translated_errors():
            values: Any = await self._redis.mget([trace_key(self._of, it) for it in numbers])
        return [value.decode("ascii") if value else None for value in values]

    async def _forget(self, numbers: Sequence[int]) -> None:
        with translated_errors():
            await self._redis.unlink(*(trace_key(self._of, number) for number in numbers))
