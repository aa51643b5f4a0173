"""Asks a server or a process whether it does its work, and tells what it means when it does not."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import grpc
import urllib3

from pkg.errors import DeadlineExceeded, DependencyRefused, DependencyUnavailable
from scripts.operator.doctor.finding import Away, Finding
from scripts.operator.doctor.target import Target

MOST_EVIDENCE = 240
# What says that somebody does not answer, whichever driver asked.
SILENCE = (
    DependencyUnavailable,
    DeadlineExceeded,
    TimeoutError,
    OSError,
    grpc.aio.AioRpcError,
    urllib3.exceptions.HTTPError,
)

T = TypeVar("T")


async def ask_all(
    target: Target, role: str, addresses: Iterable[str], ask: Callable[[str], Awaitable[object]]
) -> list[Finding]:
    """Ask everybody at the same time; return a finding for each who does not answer.

    Raises:
        Away: nobody does.
    """
    asked = list(dict.fromkeys(addresses))
    answers = await asyncio.gather(
        *(find_silence(target, role, address, ask(address)) for address in asked)
    )
    findings = [finding for finding in answers if finding is not None]
    if len(findings) == len(asked):
        raise Away(findings)
    return findings


async def find_silence(
    target: Target, role: str, address: str, answer: Awaitable[object]
) -> Finding | None:
    """Return what is wrong where the answer does not come in time; None where it does."""
    name = target.place.name_of(role, address)
    command = target.place.look_into(name, address)
    try:
        async with asyncio.timeout(target.answer_s):
            await answer
    except DependencyRefused as exc:
        return Finding(name, "refuses us", f"{address}: {describe(exc)}", command)
    except TimeoutError:
        evidence = f"{address}: no answer within {target.answer_s:.1f} s"
        return Finding(name, "does not answer", evidence, command)
    except SILENCE as exc:
        return Finding(name, "does not answer", f"{address}: {describe(exc)}", command)
    return None


def describe(error: BaseException) -> str:
    """Return in one line what is at the root of an error, as far as that says anything."""
    while error.__cause__ is not None and str(error.__cause__):
        error = error.__cause__
    if isinstance(error, grpc.aio.AioRpcError):
        text = f"{error.code().name}: {error.details()}"
    elif isinstance(error, DependencyUnavailable):
        text = error.detail or str(error)
    else:
        text = f"{type(error).__name__}: {error}"
    return " ".join(text.split())[:MOST_EVIDENCE]


async def get_reply(url: str, *, timeout_s: float) -> urllib3.BaseHTTPResponse:
    """Return what answers over HTTP, whatever it answers.

    Raises:
        urllib3.exceptions.HTTPError: nothing does.
    """

    def get() -> urllib3.BaseHTTPResponse:
        with urllib3.PoolManager(retries=False, timeout=timeout_s) as pool:
            return pool.request("GET", url)

    return await in_thread(get)


async def in_thread(question: Callable[[], T]) -> T:
    """Ask what blocks on a thread that nobody waits for when the time is over, not even at the end of the program."""
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[T] = loop.create_future()

    def settle(answer: T | None, error: Exception | None) -> None:
        if answered.done():
            return
        if error is not None:
            answered.set_exception(error)
        else:
            answered.set_result(answer)  # type: ignore[arg-type] # without an error it is a T

    def ask() -> None:
        answer, error = None, None
        try:
            answer = question()
        except Exception as exc:  # noqa: BLE001 - handed to whoever asked
            error = exc
        # The loop has gone where the time was over.
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, answer, error)

    threading.Thread(target=ask, daemon=True).start()
    return await answered
