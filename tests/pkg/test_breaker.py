"""The circuit breaker: a failure is answered by the fallback, and nothing is asked until the pause is over."""

import asyncio

import pytest

from pkg.breaker import CircuitBreaker
from pkg.errors import DeadlineExceeded, DependencyUnavailable
from tests.eventually import eventually


class Server:
    """Answers its number of calls, or fails, or hangs."""

    def __init__(self, failure: Exception | None = None, *, hangs: bool = False) -> None:
        self.failure = failure
        self.hangs = hangs
        self.calls = 0

    async def answer(self) -> int:
        self.calls += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.failure is not None:
            raise self.failure
        return self.calls


async def test_an_answer_is_passed_on():
    breaker, server = CircuitBreaker("down"), Server()
    assert [await breaker.ask(server.answer, otherwise=0) for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize("failure", [DependencyUnavailable(), DeadlineExceeded()])
async def test_after_a_failure_nothing_is_asked_until_the_pause_is_over(failure):
    breaker, server = CircuitBreaker("down", pause_s=0.2), Server(failure)

    assert [await breaker.ask(server.answer, otherwise=-1) for _ in range(5)] == [-1] * 5
    assert server.calls == 1

    server.failure = None

    async def answers() -> bool:
        return await breaker.ask(server.answer, otherwise=-1) == 2

    await eventually(answers)


async def test_a_server_that_hangs_costs_one_timeout():
    breaker, server = CircuitBreaker("down", timeout_s=0.05, pause_s=60), Server(hangs=True)
    assert [await breaker.ask(server.answer, otherwise=-1) for _ in range(5)] == [-1] * 5
    assert server.calls == 1


async def test_a_caller_that_hangs_up_does_not_open_it():
    breaker, server = CircuitBreaker("down", pause_s=60), Server(hangs=True)
    caller = asyncio.create_task(breaker.ask(server.answer, otherwise=-1))
    await eventually(lambda: server.calls == 1)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller

    server.hangs = False
    assert await breaker.ask(server.answer, otherwise=-1) == 2


async def test_a_bug_is_no_failure_of_the_server():
    breaker, server = CircuitBreaker("down", pause_s=60), Server(ValueError("bug"))
    with pytest.raises(ValueError, match="bug"):
        await breaker.ask(server.answer, otherwise=-1)
    server.failure = None
    assert await breaker.ask(server.answer, otherwise=-1) == 2
