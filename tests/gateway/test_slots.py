"""Bounds for uploads and WebSockets."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from functools import partial

import pytest

from gateway.slots import GiveWay, Slots, giving_way
from pkg.errors import RateLimited


def test_one_holder_cannot_take_all_slots():
    slots = Slots(total=3, per_holder=2)
    with ExitStack() as held:
        held.enter_context(slots.take("greedy"))
        held.enter_context(slots.take("greedy"))

        with pytest.raises(RateLimited), slots.take("greedy"):
            pass
        held.enter_context(slots.take("modest"))


def test_there_are_no_more_than_the_total():
    slots = Slots(total=1, per_holder=9)
    with slots.take("one"), pytest.raises(RateLimited) as refusal, slots.take("other"):
        pass

    assert refusal.value.retry_after_s


def test_a_slot_comes_back_whatever_happened():
    slots = Slots(total=1, per_holder=1)
    with pytest.raises(KeyError), slots.take("one"):
        raise KeyError

    with slots.take("one"):
        pass


def test_when_all_are_taken_whoever_has_most_gives_one_to_whoever_would_have_fewer():
    slots = Slots(total=4, per_holder=4)
    gone: list[str] = []
    with ExitStack() as held:
        for number in range(3):
            held.enter_context(slots.take("many", partial(gone.append, f"many {number}")))
        held.enter_context(slots.take("one", partial(gone.append, "one")))
        held.enter_context(slots.take("newcomer", partial(gone.append, "newcomer")))
        # Whoever has one already would not have fewer.
        with pytest.raises(RateLimited), slots.take("one"):
            pass
        held.enter_context(slots.take("late", partial(gone.append, "late")))
        # One each is as fair as it gets.
        with pytest.raises(RateLimited), slots.take("later"):
            pass

        assert gone == ["many 2", "many 1"]
        assert slots.taken == 4
    assert slots.taken == 0


def test_what_may_not_be_ended_keeps_its_slot():
    slots = Slots(total=2, per_holder=2)
    with slots.take("many"), slots.take("many"), pytest.raises(RateLimited), slots.take("late"):
        pass


async def test_whoever_is_ending_may_be_asked_to_give_way_again():
    async def be_ended_slowly() -> None:
        async with giving_way() as give_way:
            give_way()
            try:
                await asyncio.Event().wait()
            finally:
                give_way()

    with pytest.raises(RateLimited):
        await be_ended_slowly()


async def test_whoever_gives_way_ends_with_a_refusal_and_nothing_else_does():
    async def hold(end: Callable[[GiveWay], Awaitable[None]]) -> None:
        async with giving_way() as give_way:
            await end(give_way)

    async def be_ended(give_way: GiveWay) -> None:
        give_way()
        await asyncio.Event().wait()

    async def time_out(_give_way: GiveWay) -> None:
        raise TimeoutError

    with pytest.raises(RateLimited) as refusal:
        await hold(be_ended)
    assert refusal.value.retry_after_s
    with pytest.raises(TimeoutError):
        await hold(time_out)
