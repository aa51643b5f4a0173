"""Telling running services that rows were changed beside them."""

import sys

from dal.redis.changes import EVERYTHING, ChangeLog
from dal.redis.client import RedisSettings, open_redis
from pkg.errors import DependencyUnavailable


async def announce_everything(settings: RedisSettings) -> None:
    """Let every process read anew what it shows. Where Redis cannot be reached, say that this takes them 30 s."""
    try:
        async with open_redis(settings, patient=False) as redis:
            await ChangeLog(redis).announce([EVERYTHING])
    except DependencyUnavailable as exc:
        print(f"shown within 30 s, since nobody could be told: {exc.detail}", file=sys.stderr)
