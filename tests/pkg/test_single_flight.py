"""Single flight: shared runs, fresh answers, independent callers."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pkg.single_flight import SingleFlight


class Clock:
    """A source whose answer is the moment at which its call began; every call takes some turns of the loop."""

    def __init__(self, turns: int) -> None:
        self.now = 0
        self.calls = 0
        self.running = 0
        self._turns = turns

    async def read(self) -> int:
        self.calls += 1
        self.running += 1
        assert self.running == 1
        began_at = self.now
        try:
            for _ in range(self._turns):
                await asyncio.sleep(0)
        finally:
            # The loop of a test ends while a call that nobody waits for any more may still run.
            self.running -= 1
        return began_at


class Door:
    """A source whose calls wait until they are let through."""

    def __init__(self) -> None:
        self.calls = 0
        self.has_begun = asyncio.Event()
        self.may_answer = asyncio.Event()

    async def pass_through(self) -> int:
        self.calls += 1
        call = self.calls
        self.has_begun.set()
        await self.may_answer.wait()
        return call


async def test_who_comes_during_a_call_shares_the_next_one():
    door = Door()
    flights = SingleFlight(door.pass_through)
    first = asyncio.create_task(flights.get())
    await door.has_begun.wait()
    others = [asyncio.create_task(flights.get()) for _ in range(50)]
    await asyncio.sleep(0)

    door.may_answer.set()

    assert await asyncio.gather(first, *others) == [1] + [2] * 50
    assert door.calls == 2


async def test_who_come_together_share_one_call():
    door = Door()
    door.may_answer.set()
    flights = SingleFlight(door.pass_through)

    assert await asyncio.gather(*(flights.get() for _ in range(20))) == [1] * 20


@settings(deadline=None)
@given(
    turns=st.integers(0, 4),
    pauses=st.lists(st.integers(0, 6), min_size=1, max_size=30),
    impatient=st.sets(st.integers(0, 29)),
)
def test_no_answer_is_older_than_its_question_whoever_gives_up(
    turns: int, pauses: list[int], impatient: set[int]
):
    clock = Clock(turns)

    async def ask(flights: SingleFlight[int]) -> None:
        asked_at = clock.now
        assert await flights.get() >= asked_at

    async def run() -> None:
        flights = SingleFlight(clock.read)
        asking = []
        for index, pause in enumerate(pauses):
            clock.now += 1
            asking.append(asyncio.create_task(ask(flights)))
            for _ in range(pause):
                await asyncio.sleep(0)
            if index in impatient:
                asking[-1].cancel()
        outcomes = await asyncio.wait_for(asyncio.gather(*asking, return_exceptions=True), 10)
        for index, outcome in enumerate(outcomes):
            assert outcome is None or (
                index in impatient and isinstance(outcome, asyncio.CancelledError)
            )

    asyncio.run(run())

    assert clock.running == 0
    assert clock.calls <= len(pauses)


async def test_a_failure_reaches_everyone_who_shared_the_call_and_nobody_else():
    calls = 0

    async def load() -> str:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ConnectionError("down")
        return "back"

    flights = SingleFlight(load)
    shared = await asyncio.gather(flights.get(), flights.get(), return_exceptions=True)

    assert [type(outcome) for outcome in shared] == [ConnectionError] * 2
    assert await flights.get() == "back"


async def test_a_call_that_is_cancelled_from_below_does_not_block_the_next_one():
    # grpc.aio ends calls like this when their channel is closed.
    calls = 0

    async def load() -> str:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise asyncio.CancelledError
        return "back"

    flights = SingleFlight(load)

    with pytest.raises(asyncio.CancelledError):
        await flights.get()
    assert await asyncio.wait_for(flights.get(), 5) == "back"


async def test_one_who_gives_up_takes_the_answer_from_nobody():
    door = Door()
    flights = SingleFlight(door.pass_through)
    impatient = asyncio.create_task(flights.get())
    patient = asyncio.create_task(flights.get())
    await asyncio.sleep(0)

    impatient.cancel()
    await asyncio.sleep(0)
    door.may_answer.set()

    assert await patient == 1
