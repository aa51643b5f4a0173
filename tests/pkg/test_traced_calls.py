"""How a trace goes on in the service that is called, and which steps of it are kept."""

import asyncio
from contextlib import suppress

import pytest

from pkg.errors import DependencyUnavailable
from pkg.rpc.client import observe_call
from pkg.rpc.metadata import with_trace
from pkg.tracing import (
    TRACEPARENT,
    begin_child,
    child,
    current_trace_id,
    is_sampled,
    new_trace_id,
)
from tests.pkg.calls_world import serving_together
from tests.traced import SAMPLED, TRACE_ID, UNSAMPLED, Kept, a_request, record, wait_ms


async def test_each_of_the_calls_that_travel_together_has_its_own_trace():
    ids = [f"{number:032x}" for number in range(1, 21)]

    async def ask(world, trace_id: str) -> None:
        with (
            a_request("request", TRACE_ID, traceparent=f"00-{trace_id}-b7ad6b7169203331-00"),
            observe_call("UserInfo"),
        ):
            await world.info(7, metadata=dict(with_trace("app-7.1", "UserInfo")))

    with record(Kept()):
        async with serving_together() as world:
            await asyncio.gather(*(ask(world, trace_id) for trace_id in ids))
        seen = [metadata[TRACEPARENT] for _, metadata, _ in world.handler.seen]

    assert sorted(header.split("-")[1] for header in seen) == ids


async def test_a_call_that_travels_with_others_is_a_step_below_its_caller():
    kept = Kept()

    with record(kept, ratio=1.0):
        async with serving_together() as world:
            with a_request("request", new_trace_id()):
                trace_id = current_trace_id()
                with observe_call("UserInfo"):
                    await world.info(7, metadata=dict(with_trace("app-7.1", "UserInfo")))

    callee, caller = kept.parts
    assert kept.names == [["UserInfo"], ["request", "UserInfo"]]
    assert {part.trace_id for part in kept.parts} == {trace_id}
    assert callee.spans[0].parent_id == caller.spans[1].id


async def test_a_call_whose_request_id_says_enough_carries_nothing_more_and_is_connected():
    """Both sides find it slow, each by itself."""
    kept = Kept()

    with record(kept, slow_s=1e-9):
        async with serving_together() as world:
            with (
                a_request("request", TRACE_ID),
                child("step"),
                observe_call("UserInfo"),
            ):
                metadata = with_trace(TRACE_ID, "UserInfo")
                await world.info(7, request_id=TRACE_ID, metadata=dict(metadata))

    assert metadata == {}
    callee, caller = kept.parts
    assert {part.trace_id for part in kept.parts} == {TRACE_ID}
    [request, calling, _step] = caller.spans
    assert callee.spans[0].parent_id == calling.id
    assert calling.parent_id == request.id


@pytest.mark.parametrize("header", [SAMPLED, UNSAMPLED], ids=["drawn", "not drawn"])
@pytest.mark.parametrize("step", [observe_call, child], ids=["call", "block"])
def test_brief_steps_are_left_out_of_what_was_not_drawn_unless_they_failed(header, step):
    kept = Kept()

    with record(kept, slow_s=0.2), a_request("Feed", TRACE_ID, traceparent=header):
        for name, duration in (("brief", 0), ("long", 200)):
            with step(name):
                wait_ms(duration)
        with suppress(DependencyUnavailable), step("failed"):
            raise DependencyUnavailable(detail="mysql")

    brief = ["brief"] if header is SAMPLED else []
    assert kept.names == [["Feed", *brief, "long", "failed"]]
    assert kept.errors[0][-1] == "DependencyUnavailable"
    assert kept.left_out == 1 - len(brief)


def test_a_block_that_was_cancelled_is_seen_where_it_took_long():
    kept = Kept()

    with (
        record(kept, slow_s=0.01),
        suppress(asyncio.CancelledError),
        a_request("Feed", TRACE_ID),
        child("redis"),
    ):
        wait_ms(20)
        raise asyncio.CancelledError

    assert kept.names == [["Feed", "redis"]]


def test_what_is_ended_by_hand_is_seen_even_if_nobody_ends_it():
    kept = Kept()

    with record(kept, slow_s=1e-9), a_request("Feed", TRACE_ID):
        begin_child("SELECT")

    assert kept.names == [["Feed", "SELECT"]]
    assert kept.errors == [[None, "not ended when its request was"]]


async def test_a_call_in_a_trace_that_was_not_drawn_is_not_drawn_either():
    kept = Kept()

    with record(kept, ratio=1.0):
        async with serving_together() as world:
            await world.info(7, request_id=TRACE_ID)

    assert kept.parts == []


@pytest.mark.parametrize("is_drawn", [True, False], ids=["drawn", "other id"])
def test_a_call_says_more_than_its_request_id_where_the_other_side_could_not_know(is_drawn):
    with (
        record(Kept(), ratio=float(is_drawn)),
        a_request("request", TRACE_ID),
    ):
        metadata = with_trace(
            TRACE_ID if is_drawn else "app-7.1", "UserInfo", {"x-client-address": "::1"}
        )

    assert metadata.keys() == {"x-client-address", TRACEPARENT}
    assert is_sampled(metadata[TRACEPARENT]) is is_drawn
