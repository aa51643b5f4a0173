"""Loops that outlive what their turns raise, and what they say of it."""

import asyncio

import pytest

from pkg import endurance
from pkg.endurance import Endurance, repeat_until_stopped
from pkg.errors import DependencyRefused, DependencyUnavailable
from tests.eventually import eventually


class Loop:
    """A loop whose turns fail as told, then succeed."""

    def __init__(self, *failures: BaseException) -> None:
        self.failures = list(failures)
        self.turns = 0
        self.stop = asyncio.Event()

    async def take_turn(self) -> None:
        self.turns += 1
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)

    async def run(self) -> None:
        await repeat_until_stopped(self.stop, self.take_turn, name="test", pause_s=0.01)


async def test_a_loop_outlives_every_exception_and_tells_each_kind_once(logged):
    loop = Loop(*[RuntimeError("no socket")] * 3, *[DependencyUnavailable(detail="mysql")] * 3)
    running = asyncio.create_task(loop.run())

    await eventually(lambda: loop.turns > 10)
    loop.stop.set()
    await running

    told = [line.partition(" {")[0] for line in logged]
    assert [line for line in told if line] == [
        "ERROR turn of a loop failed",
        "WARNING loop waits for a server",
        "INFO loop goes on",
    ]
    assert any("Traceback" in line and "RuntimeError: no socket" in line for line in logged)


async def test_a_failed_turn_is_followed_by_a_pause():
    loop = Loop(*[ValueError()] * 1000)
    running = asyncio.create_task(
        repeat_until_stopped(loop.stop, loop.take_turn, name="test", pause_s=60)
    )
    await eventually(lambda: loop.turns == 1)

    loop.stop.set()

    async with asyncio.timeout(1):
        await running
    assert loop.turns == 1


async def test_cancelling_ends_a_loop():
    loop = Loop(asyncio.CancelledError())

    with pytest.raises(asyncio.CancelledError):
        await loop.run()


async def test_a_refusal_is_an_error_that_is_said_again_and_again(monkeypatch, logged):
    monkeypatch.setattr(endurance, "REPEAT_LOG_S", 0)
    loop = Loop()
    enduring = Endurance("test")
    loop.failures = [DependencyRefused(detail="wrong password")] * 2

    await enduring.insist(loop.take_turn, pause_s=0)

    assert (
        sum("ERROR server refuses us" in line and "wrong password" in line for line in logged) == 2
    )
