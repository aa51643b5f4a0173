"""The clock of versions: they never repeat and never go back."""

import asyncio

from dal.redis.clock import VersionClock
from dal.redis.keys import clock_key


async def test_versions_never_repeat_however_many_ask_at_once(stores):
    clocks = [VersionClock(stores.redis) for _ in range(3)]
    drawn = await asyncio.gather(*(clocks[n % 3].draw() for n in range(3000)))
    assert len(set(drawn)) == 3000
    assert await clocks[0].draw() > max(drawn)


async def test_versions_go_on_growing_when_the_clock_goes_back(stores):
    clock = VersionClock(stores.redis)
    ahead = await clock.draw() + 1_000_000
    await stores.redis.set(clock_key(), ahead)

    assert await clock.draw() == ahead + 1


async def test_whoever_gives_up_waiting_for_a_version_takes_none_from_others(stores):
    clock = VersionClock(stores.redis)
    tasks = [asyncio.create_task(clock.draw()) for _ in range(10)]
    await asyncio.sleep(0)
    tasks[3].cancel()

    drawn = await asyncio.gather(*tasks, return_exceptions=True)

    assert isinstance(drawn[3], asyncio.CancelledError)
    assert len({version for version in drawn if isinstance(version, int)}) == 9
