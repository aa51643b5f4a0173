"""Clocks of different hosts agree: tokens, signed links and the order of actions live by them."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime

from sqlalchemy import select

from dal.db.clock import DATABASE_NOW_MS
from dal.redis.client import RedisSettings, open_redis, translated_errors
from scripts.operator.doctor import gateway, mysql, redis, storage
from scripts.operator.doctor.answers import SILENCE, get_reply
from scripts.operator.doctor.finding import Finding
from scripts.operator.doctor.target import Target

MOST_APART_S = 2.0
# A date in a header has no fractions.
COARSE_S = 1.0

Clock = Callable[[], Awaitable[float]]


async def look_at_clocks(target: Target) -> Sequence[Finding]:
    """No server's clock is far from this machine's."""
    clocks = {
        role: clock for role, clock in _list_clocks(target).items() if role not in target.away
    }
    found = await asyncio.gather(*(_measure(role, clock) for role, clock in clocks.items()))
    return [
        Finding(
            f"clock of {role}",
            "is wrong, or this machine's is",
            f"{abs(apart_s):.1f} s {'ahead of' if apart_s > 0 else 'behind'} this machine",
            "timedatectl  # on both machines",
        )
        for role, apart_s in found
        if abs(apart_s) > MOST_APART_S
    ]


async def _measure(role: str, clock: Clock) -> tuple[str, float]:
    """Return by how much a clock is ahead at least; 0 where nothing can be said."""
    before_s = time.time()
    try:
        there_s = await clock()
    except SILENCE:
        # Told by who looks at the server.
        return role, 0.0
    after_s = time.time()
    if before_s - COARSE_S <= there_s <= after_s:
        return role, 0.0
    return role, there_s - after_s if there_s > after_s else there_s + COARSE_S - before_s


def _list_clocks(target: Target) -> dict[str, Clock]:
    async def ask_mysql() -> float:
        async with target.database.read_source() as connection:
            return float(await connection.scalar(select(DATABASE_NOW_MS)) or 0) / 1000

    async def ask_storage() -> float:
        settings = target.settings.storage
        scheme = "http" if settings.tls is None else "https"
        return await _ask_http(target, f"{scheme}://{settings.host}:{settings.port}/")

    settings = target.settings
    clocks: dict[str, Clock] = {
        mysql.ROLE: ask_mysql,
        redis.ACTIONS: lambda: _ask_redis(settings.redis_actions),
        redis.CACHE: lambda: _ask_redis(settings.redis_cache),
    }
    # Over TLS its certificate would have to be believed; who signs for it, asks it anyway.
    if settings.storage.tls is None:
        clocks[storage.ROLE] = ask_storage
    if (url := target.url) is not None:
        clocks[gateway.EDGE] = lambda: _ask_http(target, f"{url}{gateway.OWN_PATH}")
    return clocks


async def _ask_redis(settings: RedisSettings) -> float:
    async with open_redis(settings, patient=False) as client:
        with translated_errors():
            seconds, microseconds = await client.time()
    return seconds + microseconds / 1_000_000


async def _ask_http(target: Target, url: str) -> float:
    reply = await get_reply(url, timeout_s=target.answer_s)
    told = reply.headers.get("Date")
    now: datetime | None = parsedate_to_datetime(told) if told else None
    return now.timestamp() if now else time.time()
