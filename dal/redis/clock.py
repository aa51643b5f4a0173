"""The one clock that orders actions: microseconds that never repeat and never go back."""

import asyncio

from redis.asyncio import Redis

from dal.redis.client import translated_errors
from dal.redis.keys import clock_key
from dal.redis.scripting import run_script


class VersionClock:
    """Draws versions. Callers who ask while a draw is under way share the next one."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._waiting: list[asyncio.Future[int]] = []
        self._drawing: asyncio.Task[None] | None = None

    async def draw(self) -> int:
        """Return a version greater than every version drawn before this call, by anyone.

        Raises:
            DependencyUnavailable: Redis is down.
        """
        version: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append(version)
        if self._drawing is None:
            self._drawing = asyncio.create_task(self._draw_for_all())
        return await version

    async def advance_to(self, version: int) -> None:
        """Let every version that is drawn from now on be greater than this one; for a restore, before anybody draws.

        The host of the backup may have had a clock that is ahead of this one's.
        """
        with translated_errors():
            last = int(await self._redis.get(clock_key()) or 0)
            if last < version:
                await self._redis.set(clock_key(), version)

    async def _draw_for_all(self) -> None:
        try:
            while self._waiting:
                waiting, self._waiting = self._waiting, []
                await self._draw_for(waiting)
        finally:
            self._drawing = None

    async def _draw_for(self, waiting: list[asyncio.Future[int]]) -> None:
        try:
            [first] = await run_script(
                self._redis, "draw_versions", [([clock_key()], [len(waiting)])]
            )
        except Exception as exc:  # noqa: BLE001 - handed to everyone who waits
            for version in waiting:
                if not version.done():
                    version.set_exception(exc)
            return
        for offset, version in enumerate(waiting):
            if not version.done():
                version.set_result(first + offset)
