"""A client on several instances, of which one dies, stops, freezes or refuses."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from pkg import log
from pkg.errors import (
    DeadlineExceeded,
    DependencyUnavailable,
    DomainError,
    RateLimited,
    Unimplemented,
    UserNotFound,
)
from pkg.rpc.client import ServiceClient, call
from protos import user_pb2_grpc
from protos.user_pb2 import LoginRequest, RegisterRequest, UserInfoRequest
from tests.bad_servers import BAD, Behaviour, bad_server_before, on_uvloop
from tests.eventually import eventually
from tests.freezing import frozen
from tests.programs import Program, running_module
from tests.rpc_instance import Instance, serve

pytestmark = pytest.mark.processes

if TYPE_CHECKING:
    from protos.user_pb2_grpc import UserServiceAsyncStub

    Client = ServiceClient[UserServiceAsyncStub]
METHODS = ("Register", "Login", "UserInfo")
HERE = os.getpid()


@pytest.fixture(params=[True, False], ids=["together", "each by itself"])
async def client(request) -> AsyncIterator[Client]:
    made: Client = ServiceClient(
        "dousheng.UserService",
        user_pb2_grpc.UserServiceStub,
        methods=METHODS,
        unrepeatable=frozenset({"Register"}),
        together=request.param,
    )
    yield made
    await made.close()


@asynccontextmanager
async def elsewhere(*options: str) -> AsyncIterator[tuple[Program, str]]:
    """Run an instance in another process; gives it and its address."""
    async with running_module("tests.rpc_instance", "bare", *options) as program:
        yield program, await program.printed("127.0.0.1:")


async def ask(client: Client, *, timeout_s: float = 5) -> int:
    """Return the process that answered."""
    reply = await call(client.stub.UserInfo, UserInfoRequest(), timeout_s=timeout_s)
    return reply.user.id


async def register(client: Client) -> int:
    reply = await call(client.stub.Register, RegisterRequest(), timeout_s=5)
    return reply.user_id


async def ask_both(client: Client) -> None:
    """Call until both instances have answered: the client is then connected to both."""
    seen: set[int] = set()

    async def asked_both() -> bool:
        seen.add(await ask(client))
        return len(seen) == 2

    await eventually(asked_both)


async def test_calls_are_balanced_over_all_instances(client):
    async with elsewhere() as (other, address), serve(Instance()) as (_, own_address):
        client.use(frozenset({address, own_address}))
        await ask_both(client)

        answered = Counter([await ask(client) for _ in range(20)])

        assert answered == {HERE: 10, other.pid: 10}


async def calls_while_one_dies(
    client: Client, one: Callable[[Client], object], method: str
) -> tuple[list[int | BaseException], Instance]:
    """Start calls on two instances, kill the one that holds its calls, and return what came of them."""
    handler = Instance()
    async with elsewhere("hang") as (other, address), serve(handler) as (_, own_address):
        client.use(frozenset({address, own_address}))
        calls: list[asyncio.Task[int]] = []

        async def held_at_other() -> bool:
            calls.append(asyncio.create_task(one(client)))  # type: ignore[arg-type]
            await asyncio.sleep(0)
            return method in other.lines

        await eventually(held_at_other)
        other.send(signal.SIGKILL)
        return await asyncio.gather(*calls, return_exceptions=True), handler


async def test_a_repeatable_call_survives_the_death_of_its_instance(client):
    results, handler = await calls_while_one_dies(client, ask, "UserInfo")

    assert set(results) == {HERE}
    assert handler.calls["UserInfo"] == len(results)


async def test_an_unrepeatable_call_is_never_sent_to_another_instance(client):
    results, handler = await calls_while_one_dies(client, register, "Register")

    answered = [result for result in results if result == HERE]
    lost = [result for result in results if isinstance(result, DependencyUnavailable)]
    assert lost
    assert len(answered) + len(lost) == len(results)
    assert handler.calls["Register"] == len(answered)


async def test_calls_go_on_when_an_instance_stops_that_is_still_registered(client):
    first, second = Instance(), Instance()
    async with serve(first) as (stopping, first_address), serve(second) as (_, second_address):
        client.use(frozenset({first_address, second_address}))
        await eventually(lambda: both_called(client, first, second))

        await stopping.stop(0)
        for _ in range(20):
            await ask(client)


async def both_called(client: Client, first: Instance, second: Instance) -> bool:
    await ask(client)
    return bool(first.calls and second.calls)


async def test_an_instance_that_comes_back_is_used_again(client):
    handler, again = Instance(), Instance()
    async with serve(handler) as (server, address):
        client.use(frozenset({address}))
        await ask(client)
        await server.stop(0)
        with pytest.raises(DomainError):
            await ask(client, timeout_s=0.3)

        async with serve(again, port=int(address.rpartition(":")[2])):
            await eventually(lambda: answers(client))

    assert again.calls["UserInfo"] > 0


async def answers(client: Client) -> bool:
    try:
        await ask(client, timeout_s=1)
    except DomainError:
        return False
    return True


@pytest.mark.parametrize(
    "error",
    [DependencyUnavailable(), DeadlineExceeded(), RateLimited(), Unimplemented(), UserNotFound()],
    ids=lambda error: type(error).__name__,
)
async def test_what_a_service_raised_is_not_asked_for_again(client, error):
    first, second = Instance(), Instance()
    first.error = second.error = error
    async with serve(first) as (_, first_address), serve(second) as (_, second_address):
        client.use(frozenset({first_address, second_address}))

        with pytest.raises(type(error)):
            await ask(client)

        assert (first.calls + second.calls)["UserInfo"] == 1


async def test_the_deadline_holds_for_a_frozen_instance(client):
    async with elsewhere() as (other, address):
        client.use(frozenset({address}))
        await ask(client)
        with frozen(other.pid):
            began = time.monotonic()

            with pytest.raises(DeadlineExceeded):
                await ask(client, timeout_s=0.4)

        assert 0.3 < time.monotonic() - began < 2


async def test_the_request_id_travels_with_the_call(client):
    handler = Instance()
    async with serve(handler) as (_, address):
        client.use(frozenset({address}))
        token = log.request_id.set("abc123")
        await ask(client)
        log.request_id.reset(token)

    assert handler.request_ids == ["abc123"]


async def test_running_calls_end_well_when_the_instances_change(client):
    handler, successor = Instance(), Instance()
    async with serve(handler) as (_, address), serve(successor) as (_, next_address):
        client.use(frozenset({address}))
        slow = asyncio.create_task(
            call(client.stub.Login, LoginRequest(username="0.3"), timeout_s=5)
        )
        await eventually(lambda: handler.calls["Login"])

        client.use(frozenset({next_address}))
        await ask(client)

        assert (await slow).user_id == HERE
        assert successor.calls["UserInfo"] == 1


async def test_no_instance_at_all_keeps_the_last_ones(client):
    async with serve(Instance()) as (_, address):
        client.use(frozenset({address}))
        client.use(frozenset())

        assert await ask(client) == HERE


async def test_health_is_asked_within_a_deadline(client):
    assert not await client.is_serving(timeout_s=0.2)
    client.use(frozenset({"127.0.0.1:1"}))
    assert not await client.is_serving(timeout_s=0.2)


@pytest.mark.parametrize("behaviour", BAD)
@on_uvloop
async def test_an_instance_that_turns_bad_is_unavailable_and_used_again_afterwards(behaviour):
    made: Client = ServiceClient(
        "dousheng.UserService", user_pb2_grpc.UserServiceStub, methods=METHODS
    )
    async with serve(Instance()) as (_, address):
        with bad_server_before(int(address.rpartition(":")[2])) as bad:
            made.use(frozenset({f"127.0.0.1:{bad.port}"}))
            assert await ask(made) == HERE
            bad.turn(behaviour)

            for _ in range(4):
                began = time.monotonic()
                with pytest.raises((DependencyUnavailable, DeadlineExceeded)):
                    await ask(made, timeout_s=0.5)
                assert time.monotonic() - began < 1

            bad.turn(Behaviour.GOOD)
            await eventually(lambda: is_served(made))
        await made.close()


async def is_served(client: Client) -> bool:
    try:
        return await ask(client, timeout_s=0.5) == HERE
    except (DependencyUnavailable, DeadlineExceeded):
        return False
