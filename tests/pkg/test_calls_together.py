"""Calls that travel together: each is answered, refused, late and cancelled as if it were alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import grpc
import pytest
from prometheus_client import REGISTRY

from pkg.errors import (
    DeadlineExceeded,
    DependencyUnavailable,
    InternalError,
    RateLimited,
    Unimplemented,
    UserNotFound,
)
from pkg.rpc.admission import Admission
from pkg.rpc.interceptor import ErrorInterceptor
from pkg.rpc.many import line, servicer
from pkg.rpc.many.servicer import serve_together
from protos.calls_pb2 import Calls
from protos.user_pb2 import (
    UserInfoReply,
)
from protos.user_pb2_grpc import add_UserServiceServicer_to_server
from tests.eventually import eventually
from tests.pkg.calls_world import LOGIN, World, serving_together


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with serving_together() as made:
        yield made


@pytest.fixture
def message_sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many calls each message to the instance held."""
    sizes: list[int] = []
    take = line.Line._take

    def noting(self: line.Line) -> Calls:
        message = take(self)
        sizes.append(len(message.calls))
        return message

    monkeypatch.setattr(line.Line, "_take", noting)
    return sizes


async def test_every_caller_gets_the_reply_to_their_own_request(world):
    replies = await asyncio.gather(*(world.info(n) for n in range(1, 201)))

    assert [reply.user.id for reply in replies] == list(range(1, 201))


async def test_calls_of_one_moment_share_a_message(world, message_sizes):
    await world.info(1)
    message_sizes.clear()

    await asyncio.gather(*(world.info(n) for n in range(1, 65)))

    assert message_sizes == [64]


async def test_a_message_is_bounded_in_calls_and_in_bytes(world, message_sizes):
    await asyncio.gather(*(world.info(1) for _ in range(2 * line.MOST_CALLS)))
    assert max(message_sizes) <= line.MOST_CALLS
    message_sizes.clear()
    large = b"\x0a" + b"\x80\x80\x04" + b"x" * 65536

    await asyncio.gather(
        *(world.send(LOGIN, large, timeout_s=0.5) for _ in range(12)), return_exceptions=True
    )

    assert max(message_sizes) * len(large) <= line.MESSAGE_BYTES + len(large)


async def test_replies_of_any_size_arrive_together(world):
    world.handler.name = "x" * 100_000

    replies = await asyncio.gather(*(world.info(n) for n in range(1, 101)))

    assert all(len(reply.user.name) == 100_000 for reply in replies)


async def test_a_slow_call_holds_up_nobody(world):
    slow = asyncio.create_task(world.login())
    await eventually(lambda: world.handler.waiting)

    for n in range(1, 20):
        assert (await world.info(n)).user.id == n
    assert not slow.done()
    world.handler.let_go.set()
    assert (await slow).user_id == 7


@pytest.mark.parametrize(
    ("user_id", "error"), [(404, UserNotFound), (500, InternalError)], ids=["domain", "bug"]
)
async def test_one_failure_stays_one_failure(world, user_id, error):
    results = await asyncio.gather(
        *(world.info(n) for n in (1, user_id, 2)), return_exceptions=True
    )

    assert [type(result) for result in results] == [UserInfoReply, error, UserInfoReply]
    assert "SELECT" not in str(results[1])


async def test_an_error_keeps_its_text_and_its_pause(world):
    with pytest.raises(UserNotFound) as caught:
        await world.info(404)

    assert (caught.value.message, caught.value.retry_after_s) == ("没有这个人", 3)


async def test_each_call_has_its_own_deadline_and_its_handler_ends_with_it(world):
    patient = asyncio.create_task(world.login())
    with pytest.raises(DeadlineExceeded):
        await world.login(timeout_s=0.2)

    await eventually(lambda: world.handler.cancelled == 1)
    assert world.handler.waiting == 1
    world.handler.let_go.set()
    await patient


async def test_a_handler_ends_with_its_caller(world):
    leaving = asyncio.create_task(world.login())
    await eventually(lambda: world.handler.waiting)

    leaving.cancel()

    await eventually(lambda: world.handler.cancelled == 1)
    assert (await world.info(1)).user.id == 1


async def test_a_handler_sees_its_request_id_its_metadata_and_its_time(world):
    await world.info(1, timeout_s=9, metadata={"x-client-address": "192.0.2.7"})

    ((request_id, metadata, remaining_s),) = world.handler.seen
    assert request_id == "abc123"
    assert metadata == {"x-request-id": "abc123", "x-client-address": "192.0.2.7"}
    assert 5 < remaining_s <= 9


async def test_a_method_that_is_not_there_is_unimplemented(world):
    with pytest.raises(Unimplemented):
        await world.send("/dousheng.UserService/Fly", b"")
    with pytest.raises(Unimplemented):
        await world.send("/dousheng.UserService/Register", b"")


async def test_calls_that_travel_together_are_admitted_one_by_one():
    async with serving_together(max_calls=1) as world:
        first = asyncio.create_task(world.login())
        await eventually(lambda: world.handler.waiting)

        with pytest.raises(RateLimited):
            await world.info(1)

        world.handler.let_go.set()
        assert (await first).user_id == 7
        assert (await world.info(1)).user.id == 1


async def test_an_instance_that_stops_answers_what_it_has_and_gets_no_more(world):
    running = [asyncio.create_task(world.login()) for _ in range(5)]
    await eventually(lambda: world.handler.waiting == 5)

    world.together.stop()
    stopping = asyncio.create_task(world.server.stop(20))
    await eventually(lambda: refused(world))
    world.handler.let_go.set()

    assert [reply.user_id for reply in await asyncio.gather(*running)] == [7] * 5
    await stopping


async def test_an_instance_that_is_not_wanted_any_more_answers_what_it_has(world):
    running = asyncio.create_task(world.login())
    await eventually(lambda: world.handler.waiting)
    async with serving_together() as other:
        world.lines.use(frozenset({other.address}))

        assert (await world.info(1)).user.id == 1
        assert len(other.handler.seen) == 1
        world.handler.let_go.set()
        assert (await running).user_id == 7


@pytest.mark.parametrize("is_repeatable", [True, False], ids=["repeatable", "unrepeatable"])
async def test_what_a_broken_line_had_carried_goes_on_elsewhere_if_it_may(world, is_repeatable):
    async with serving_together() as other:
        running = asyncio.create_task(world.login(is_repeatable=is_repeatable))
        await eventually(lambda: world.handler.waiting)
        world.lines.use(frozenset({world.address, other.address}))
        await eventually(lambda: carried_by(world, other))
        other.handler.let_go.set()

        await world.server.stop(0)

        if is_repeatable:
            assert (await running).user_id == 7
        else:
            with pytest.raises(DependencyUnavailable):
                await running


async def carried_by(world: World, other: World) -> bool:
    await world.info(1)
    return bool(other.handler.seen)


async def test_a_line_opens_again_when_its_instance_is_back(world):
    assert (await world.info(1)).user.id == 1
    port = int(world.address.rpartition(":")[2])
    await world.server.stop(0)
    with pytest.raises(DependencyUnavailable):
        await world.info(1)

    server = grpc.aio.server(interceptors=[ErrorInterceptor()])
    serve_together(
        server,
        partial(add_UserServiceServicer_to_server, world.handler),
        Admission(max_calls=10, max_streams=1),
    )
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()

    await eventually(lambda: answered(world))
    await world.lines.close()
    await server.stop(0)


async def test_a_fault_of_the_writer_is_told_and_ends_the_wait_of_those_it_held_up(
    monkeypatch, world
):
    take = line.Line._take
    faults = [KeyError("a fault of ours")]

    def faulty(self: line.Line) -> Calls:
        if faults:
            raise faults.pop()
        return take(self)

    assert (await world.info(1)).user.id == 1
    monkeypatch.setattr(line.Line, "_take", faulty)
    before = failures_of_lines()

    with pytest.raises(DependencyUnavailable):
        await world.info(2, is_repeatable=False)

    assert failures_of_lines() == before + 1
    await eventually(lambda: answered(world))


def failures_of_lines() -> float:
    told = {"loop": "calls to an instance"}
    return REGISTRY.get_sample_value("dousheng_loop_failures_total", told) or 0


async def refused(world: World) -> bool:
    return not await answered(world)


async def answered(world: World) -> bool:
    try:
        return (await world.info(1)).user.id == 1
    except DependencyUnavailable:
        return False


async def test_nothing_is_kept_of_a_call_after_its_end(world):
    await asyncio.gather(*(world.info(n) for n in range(1, 100)))
    with pytest.raises(DeadlineExceeded):
        await world.login(timeout_s=0.1)
    (kept,) = world.lines._lines.values()

    assert kept.load == 0
    await eventually(lambda: not kept._outbox and not kept._cancelled)


async def test_results_leave_in_messages_that_a_client_takes(monkeypatch, world):
    monkeypatch.setattr(servicer, "RESULTS_BYTES", 10)

    replies = await asyncio.gather(*(world.info(n) for n in range(1, 31)))

    assert [reply.user.id for reply in replies] == list(range(1, 31))
