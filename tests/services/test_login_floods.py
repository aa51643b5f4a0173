"""While one network floods the hashing of passwords, all others log in."""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pkg.errors import RateLimited
from tests.eventually import eventually
from tests.services.user_phones import Phone, outcome


@asynccontextmanager
async def flood_of_registrations(phone: Phone) -> AsyncIterator[Counter[type[object]]]:
    """Register from one address as fast as answers come, 80 at a time; gives what became of it."""
    outcomes: Counter[type[object]] = Counter()
    over = asyncio.Event()

    async def register() -> None:
        while not over.is_set():
            outcomes[await outcome(phone.register(uuid.uuid4().hex))] += 1

    async with asyncio.TaskGroup() as tasks:
        for _ in range(80):
            tasks.create_task(register())
        try:
            await eventually(lambda: _has_seen(outcomes, RateLimited))
            yield outcomes
        finally:
            over.set()


async def _has_seen(outcomes: Counter[type[object]], error: type[object]) -> bool:
    return outcomes[error] > 0


async def test_while_one_network_floods_with_registrations_everybody_logs_in_within_the_deadline(
    open_phone, settings
):
    name = uuid.uuid4().hex[:12]
    async with open_phone("203.0.113.1", hashing=settings.user.hashing) as flooding:
        await flooding.register(name)
        async with flood_of_registrations(flooding) as outcomes:
            for number in range(5):
                other = flooding.elsewhere(f"2001:db8:0:{number}::1")
                assert await other.login(name, timeout_s=2)
                assert await flooding.login(name, timeout_s=2)
            newcomer = flooding.elsewhere("198.51.100.1")
            assert await newcomer.register(f"{name}x")

    assert set(outcomes) == {tuple, RateLimited}
