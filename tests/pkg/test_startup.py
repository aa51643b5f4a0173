"""A process that was started before its servers waits for them and then works."""

import asyncio

import pytest

from pkg import startup
from pkg.errors import DeadlineExceeded, DependencyRefused, DependencyUnavailable, InternalError
from pkg.startup import wait_until_available


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(startup, "RETRY_DELAY_S", 0.01)


class Server:
    """Fails with what it is told, then answers."""

    def __init__(self, *failures: Exception) -> None:
        self._failures = list(failures)

    async def answer(self) -> str:
        if self._failures:
            raise self._failures.pop(0)
        return "here"


async def test_the_first_answer_is_returned():
    server = Server(*[DependencyUnavailable(), DeadlineExceeded()] * 3)

    assert await wait_until_available("server", server.answer) == "here"


async def test_anything_but_an_absent_server_is_told_at_once():
    with pytest.raises(InternalError):
        await wait_until_available("server", Server(InternalError()).answer)


async def test_waiting_can_be_cancelled():
    server = Server(*[DependencyUnavailable()] * 10_000)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await wait_until_available("server", server.answer)


async def test_a_server_that_refuses_us_is_waited_for_and_an_operator_is_called(logged):
    refused = DependencyRefused(detail="wrong password")

    assert await wait_until_available("server", Server(refused).answer) == "here"

    (line,) = logged
    assert line.startswith("ERROR waiting: the server refuses us, an operator must act")
    assert "wrong password" in line
