"""Failed logins are counted where every instance sees them, and an outage of the counter is not one of the login."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from dal.redis.client import open_redis
from dal.redis.keys import login_failures_of_address_key, login_failures_of_name_key
from dal.redis.login_attempts import LoginAttempts, LoginLimits
from tests.eventually import eventually
from tests.freezing import frozen

LIMITS = LoginLimits(per_name=3, per_address=6, window_s=60)


@pytest.fixture
def attempts(cache_redis: Redis) -> LoginAttempts:
    return LoginAttempts(cache_redis, LIMITS)


@pytest.fixture
def name() -> str:
    return f"小明🐶{uuid.uuid4().hex[:8]}"


@pytest.fixture
def address() -> str:
    return f"2001:db8::{uuid.uuid4().hex[:4]}"


async def fail(attempts: LoginAttempts, name: str, address: str, *, times: int) -> None:
    for _ in range(times):
        await attempts.record_failure(name, address)


async def test_a_name_is_slowed_down_at_its_limit_and_from_everywhere(attempts, name, address):
    await fail(attempts, name, address, times=LIMITS.per_name - 1)
    assert await attempts.find_wait_s(name, address) == 0

    await fail(attempts, name, address, times=1)

    assert 1 <= await attempts.find_wait_s(name, address) <= LIMITS.window_s
    assert await attempts.find_wait_s(name, "elsewhere") > 0
    assert await attempts.find_wait_s("somebody", address) == 0


async def test_an_address_is_slowed_down_at_its_limit_for_every_name(attempts, address):
    for number in range(LIMITS.per_address):
        assert await attempts.find_wait_s("somebody", address) == 0
        await attempts.record_failure(f"{address} {number}", address)

    assert await attempts.find_wait_s("somebody", address) > 0
    assert await attempts.find_wait_s("somebody", address + "0") == 0


async def test_a_success_clears_the_name_and_not_the_address(attempts, name, address):
    await fail(attempts, name, address, times=LIMITS.per_name - 1)

    assert await attempts.record_success(name, address) == 0

    await fail(attempts, name, address, times=1)
    assert await attempts.find_wait_s(name, "elsewhere") == 0
    for number in range(LIMITS.per_address - LIMITS.per_name):
        await attempts.record_failure(f"{name} {number}", address)
    assert await attempts.find_wait_s(name, address) > 0


async def test_what_comes_after_the_limit_is_told_to_wait_and_counts_no_more(
    attempts, cache_redis, name, address
):
    await fail(attempts, name, address, times=LIMITS.per_name)

    assert await attempts.record_failure(name, address) > 0
    assert await attempts.record_success(name, address) > 0

    assert int(await cache_redis.get(login_failures_of_name_key(name))) == LIMITS.per_name


async def test_the_window_ends_by_itself(cache_redis, name, address):
    attempts = LoginAttempts(cache_redis, LoginLimits(per_name=1, per_address=100, window_s=1))
    await attempts.record_failure(name, address)
    assert await attempts.find_wait_s(name, address) == 1

    async def is_over() -> bool:
        return await attempts.find_wait_s(name, address) == 0

    await eventually(is_over, within_s=5)


async def test_later_failures_do_not_prolong_the_window(attempts, cache_redis, name, address):
    keys = (login_failures_of_name_key(name), login_failures_of_address_key(address))
    await attempts.record_failure(name, address)
    for key in keys:
        assert await cache_redis.expire(key, LIMITS.window_s - 20)

    await fail(attempts, name, address, times=LIMITS.per_name)

    for key in keys:
        assert 0 < await cache_redis.ttl(key) <= LIMITS.window_s - 20


async def test_concurrent_failures_are_all_counted(settings, name, address):
    # What is not answered in time is not counted: fifty new connections take a while on a busy machine.
    patient = settings.redis_cache.model_copy(update={"timeout_s": 30.0})
    async with open_redis(patient) as client:
        attempts = LoginAttempts(client, LoginLimits(per_name=50, per_address=999, window_s=60))
        await asyncio.gather(*(attempts.record_failure(name, address) for _ in range(49)))
        assert await attempts.find_wait_s(name, address) == 0

        await attempts.record_failure(name, address)

        assert await attempts.find_wait_s(name, address) > 0


@pytest.fixture
async def other_instance(settings) -> AsyncIterator[LoginAttempts]:
    async with open_redis(settings.redis_cache) as client:
        yield LoginAttempts(client, LIMITS)


async def test_every_instance_sees_the_failures_of_the_others(
    attempts, other_instance, name, address
):
    await fail(attempts, name, address, times=2)
    await fail(other_instance, name, address, times=1)

    assert await attempts.find_wait_s(name, address) > 0
    assert await other_instance.find_wait_s(name, address) > 0


async def test_without_the_cache_nobody_is_refused_and_afterwards_it_counts_again(
    servers, attempts, name, address
):
    await fail(attempts, name, address, times=LIMITS.per_name)
    await asyncio.to_thread(servers.stop, "redis-cache")
    try:
        async with asyncio.timeout(10):
            await attempts.record_failure(name, address)
            assert await attempts.record_success(name, address) == 0
            assert await attempts.find_wait_s(name, address) == 0
    finally:
        await asyncio.to_thread(servers.start, "redis-cache")

    await eventually(lambda: fails_until_refused(attempts, name, address))


async def fails_until_refused(attempts: LoginAttempts, name: str, address: str) -> bool:
    await attempts.record_failure(name, address)
    return await attempts.find_wait_s(name, address) > 0


async def test_a_frozen_cache_holds_a_login_up_once_and_not_at_every_step(
    servers, attempts, name, address
):
    await fail(attempts, name, address, times=1)
    with frozen(servers.pid("redis-cache")):
        began = time.monotonic()
        assert await attempts.find_wait_s(name, address) == 0
        assert await attempts.find_wait_s(name, address) == 0
        await attempts.record_failure(name, address)
        took_s = time.monotonic() - began

    # One try of half a second; every further step would cost another.
    assert took_s < 1.5
    await eventually(lambda: fails_until_refused(attempts, name, address))


async def test_a_window_ends_in_time_though_the_clock_of_redis_goes_back(
    attempts: LoginAttempts, cache_redis: Redis, *, name: str, address: str
):
    """What a step back leaves is a key that lives longer than any window."""
    await fail(attempts, name, address, times=LIMITS.per_name)
    for key in (login_failures_of_name_key(name), login_failures_of_address_key(address)):
        await cache_redis.expire(key, LIMITS.window_s + 3600)

    assert 1 <= await attempts.find_wait_s(name, address) <= LIMITS.window_s
    assert await cache_redis.ttl(login_failures_of_name_key(name)) <= LIMITS.window_s
    assert await cache_redis.ttl(login_failures_of_address_key(address)) <= LIMITS.window_s


async def test_a_key_is_as_short_for_a_long_name_as_for_a_short_one(
    attempts: LoginAttempts, cache_redis: Redis, address: str
):
    long_name = f"{uuid.uuid4().hex}" + "长" * 100_000

    await fail(attempts, long_name, address, times=LIMITS.per_name)

    assert await attempts.find_wait_s(long_name, "elsewhere") > 0
    assert await attempts.find_wait_s(long_name + "长", "elsewhere") == 0
    keys = [key async for key in cache_redis.scan_iter("{login}:name:*")]
    assert max(map(len, keys)) < 100
