"""Turns: who floods waits behind their own work, and nothing waits indefinitely or grows without end."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pkg.errors import RateLimited
from pkg.fair_queue import FairQueue
from tests.eventually import eventually


class Workshop:
    """A queue with one place, which a test holds until it lets the others go, one after the other."""

    def __init__(self, queue: FairQueue) -> None:
        self.queue = queue
        self.served: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, name: str, *, urgent: bool = False) -> "asyncio.Task[None]":
        """Let somebody come; the first letter says who it is."""
        task = asyncio.create_task(self._work(name, urgent))
        self.tasks[name] = task
        await asyncio.sleep(0)
        return task

    async def _work(self, name: str, urgent: bool) -> None:
        async with self.queue.turn(name[0], urgent=urgent):
            self.served.append(name)

    async def finish(self) -> list[str]:
        """Wait for all and return the names of those who were refused."""
        results = await asyncio.gather(*self.tasks.values(), return_exceptions=True)
        return [
            name
            for name, result in zip(self.tasks, results, strict=True)
            if isinstance(result, RateLimited)
        ]


@asynccontextmanager
async def busy_workshop(
    *, max_waiting: int = 100, per_holder: int = 100, max_wait_s: float = 10
) -> AsyncIterator[Workshop]:
    """Give a workshop whose one place is taken for as long as the block runs."""
    queue = FairQueue(
        places=1,
        max_waiting=max_waiting,
        max_waiting_per_holder=per_holder,
        max_wait_s=max_wait_s,
    )
    workshop = Workshop(queue)
    async with queue.turn("first", urgent=False):
        yield workshop


async def test_holders_have_their_turns_one_after_the_other() -> None:
    async with busy_workshop() as workshop:
        for name in ("a1", "a2", "a3", "b1", "c1", "b2"):
            await workshop.come(name)

    assert await workshop.finish() == []
    assert workshop.served == ["a1", "b1", "c1", "a2", "b2", "a3"]


async def test_urgent_work_goes_first_and_does_not_shut_the_other_out() -> None:
    async with busy_workshop() as workshop:
        for name in ("a1", "a2"):
            await workshop.come(name)
        for name in ("b1", "b2", "b3", "b4", "b5"):
            await workshop.come(name, urgent=True)

    assert await workshop.finish() == []
    assert workshop.served == ["b1", "b2", "b3", "a1", "b4", "b5", "a2"]


async def test_one_holder_may_not_wait_for_more_than_its_share_of_either_kind() -> None:
    async with busy_workshop(per_holder=2) as workshop:
        for name in ("a1", "a2", "a3", "b1"):
            await workshop.come(name)
        await workshop.come("a4", urgent=True)

    assert await workshop.finish() == ["a3"]


async def test_when_all_is_full_whoever_waits_most_gives_way() -> None:
    async with busy_workshop(max_waiting=4) as workshop:
        for name in ("a1", "a2", "a3", "b1", "c1", "a4"):
            await workshop.come(name)

    assert await workshop.finish() == ["a3", "a4"]


async def test_when_all_is_full_urgent_work_takes_the_place_of_other_work_alone() -> None:
    async with busy_workshop(max_waiting=2) as workshop:
        for name in ("a1", "b1"):
            await workshop.come(name)
        for name in ("c1", "c2", "c3"):
            await workshop.come(name, urgent=True)
        await workshop.come("d1")

    assert await workshop.finish() == ["a1", "b1", "c3", "d1"]
    assert workshop.served == ["c1", "c2"]


async def test_a_refusal_says_when_to_come_back() -> None:
    async with busy_workshop(max_wait_s=0.01) as workshop:
        with pytest.raises(RateLimited) as refusal:
            await (await workshop.come("a1"))

    assert refusal.value.retry_after_s
    assert await workshop.finish() == ["a1"]


async def test_whoever_leaves_makes_room_and_takes_no_turn_along() -> None:
    async with busy_workshop(max_waiting=2) as workshop:
        leaving = await workshop.come("a1")
        await workshop.come("b1")
        leaving.cancel()
        await eventually(_is_done(leaving))
        await workshop.come("c1")
    async with asyncio.timeout(5):
        await asyncio.gather(workshop.tasks["b1"], workshop.tasks["c1"])

    assert workshop.served == ["b1", "c1"]


def _is_done(task: "asyncio.Task[None]") -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return task.done()

    return look


async def test_a_turn_that_comes_while_its_holder_leaves_goes_to_the_next() -> None:
    async with busy_workshop() as workshop:
        leaving = await workshop.come("a1")
        await workshop.come("b1")
    # The place was handed to `a1`, which has not run since.
    leaving.cancel()
    async with asyncio.timeout(5):
        await workshop.tasks["b1"]

    assert workshop.served == ["b1"]


@given(seed=st.integers(0, 2**32), places=st.integers(1, 3))
def test_no_more_than_the_places_run_at_once_and_every_place_comes_back(
    seed: int, places: int
) -> None:
    asyncio.run(_crowd(random.Random(seed), places))


async def _crowd(chance: random.Random, places: int) -> None:
    queue = FairQueue(places=places, max_waiting=8, max_waiting_per_holder=4, max_wait_s=0.002)
    running = most = 0

    async def work() -> None:
        nonlocal running, most
        async with queue.turn(chance.choice("abc"), urgent=chance.random() < 0.5):
            running += 1
            most = max(most, running)
            try:
                await asyncio.sleep(chance.choice((0, 0, 0.001)))
            finally:
                running -= 1

    tasks = []
    for _ in range(40):
        tasks.append(asyncio.create_task(work()))
        if chance.random() < 0.3:
            await asyncio.sleep(0)
        if chance.random() < 0.2:
            chance.choice(tasks).cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(result) for result in results} <= {
        type(None),
        RateLimited,
        asyncio.CancelledError,
    }
    assert most <= places
    async with asyncio.timeout(1), AsyncExitStack() as stack:
        for _ in range(places):
            await stack.enter_async_context(queue.turn("z", urgent=False))
