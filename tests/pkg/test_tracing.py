"""What is traced, what of it is kept, and how a trace goes on in another process."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from time import perf_counter_ns
from types import SimpleNamespace

import pytest

from pkg.errors import DependencyUnavailable, VideoNotFound
from pkg.rpc.client import observe_call
from pkg.rpc.interceptor import Way, reported
from pkg.rpc.metadata import with_trace
from pkg.tracing import (
    NO_SPAN,
    TRACEPARENT,
    Kind,
    RequestSpan,
    TracingSettings,
    begin_batch,
    begin_child,
    begin_job,
    child,
    current_trace_id,
    current_traceparent,
    find_kept_trace_id,
    is_sampled,
    is_trace_id,
    new_trace_id,
)
from pkg.tracing.context import TraceContext
from pkg.tracing.recorder import recording
from pkg.tracing.spans import MOST_STEPS, Root
from tests.pkg.calls_world import serving_together
from tests.traced import begin_request

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SAMPLED = f"00-{TRACE_ID}-b7ad6b7169203331-01"
UNSAMPLED = f"00-{TRACE_ID}-b7ad6b7169203331-00"
HOUR_S = 3600


class Kept:
    """What a process would send."""

    def __init__(self) -> None:
        self.names: list[list[str]] = []
        self.errors: list[list[str | None]] = []
        self.links: list[list[str]] = []
        self.left_out = 0
        self.parts: list[SimpleNamespace] = []

    def __call__(self, root: Root) -> None:
        self.parts.append(SimpleNamespace(trace_id=root.trace_id, spans=list(root.spans)))
        self.names.append([span.name for span in root.spans])
        self.errors.append([span.error for span in root.spans])
        self.links.append([link.trace_id for span in root.spans for link in span.links])
        self.left_out += root.left_out


def record(kept: Kept, *, ratio: float = 0.0, slow_s: float = HOUR_S):
    settings = TracingSettings(sample_ratio=ratio, slow_s=slow_s, timeout_s=1)
    return recording(settings, kept)


def wait_ms(duration: int) -> None:
    """Be busy for so long, by the recorder's clock."""
    until = perf_counter_ns() + duration * 1_000_000
    while perf_counter_ns() < until:
        pass


@pytest.fixture
def kept() -> Iterator[Kept]:
    """Nothing is sampled, and nothing is slow."""
    found = Kept()
    with record(found):
        yield found


def test_while_tracing_is_off_nothing_is_made():
    with begin_request("Feed", TRACE_ID, traceparent=SAMPLED) as request:
        spans = [begin_batch("flush"), begin_job("process", traceparent=SAMPLED), child("SELECT")]
        traceparent = current_traceparent()

    assert all(span is NO_SPAN for span in spans)
    assert traceparent is None
    assert not request.is_recording


def test_outside_of_anything_traced_a_step_is_not_recorded(kept):
    assert child("SELECT") is NO_SPAN


def test_a_ratio_of_one_keeps_every_request_with_its_steps():
    kept = Kept()

    with record(kept, ratio=1.0):
        for _ in range(3):
            with begin_request("Feed", TRACE_ID), child("SELECT"):
                pass

    assert kept.names == [["Feed", "SELECT"]] * 3


def test_what_is_neither_sampled_nor_slow_nor_failed_is_forgotten(kept):
    with begin_request("Feed", TRACE_ID), child("SELECT"):
        assert find_kept_trace_id() is None

    assert kept.names == []


def test_a_slow_request_is_kept():
    kept = Kept()

    with (
        record(kept, slow_s=0.001),
        begin_request("Feed", TRACE_ID, traceparent=UNSAMPLED),
        child("SELECT"),
    ):
        wait_ms(2)

    assert kept.names == [["Feed", "SELECT"]]


def test_what_has_its_own_pace_is_never_slow():
    kept = Kept()

    with record(kept, slow_s=0.001), begin_request("up", TRACE_ID, is_ever_slow=False):
        wait_ms(2)

    assert kept.names == []


def test_a_failed_request_is_kept_and_an_exception_that_is_an_answer_is_no_failure(kept):
    for error in (VideoNotFound(), DependencyUnavailable(detail="mysql")):
        with (
            pytest.raises(type(error)),
            reported("/dousheng.VideoService/Feed", "abc", traceparent=None),
        ):
            raise error

    assert kept.names == [["Feed"]]
    assert kept.errors == [["DependencyUnavailable"]]


def test_a_failed_step_says_what_failed_and_not_what_people_wrote(kept):
    with (
        begin_request("Feed", TRACE_ID, traceparent=SAMPLED),
        pytest.raises(ValueError, match="secret"),
        child("SELECT"),
    ):
        raise ValueError("secret")

    assert kept.errors == [["", "ValueError"]]


def test_a_sampled_trace_of_somebody_else_is_kept_and_goes_on(kept):
    with begin_request("Feed", "f" * 32, traceparent=SAMPLED):
        assert current_trace_id() == TRACE_ID
        assert find_kept_trace_id() == TRACE_ID
        passed_on = TraceContext.parse(current_traceparent())

    assert passed_on is not None
    assert passed_on.trace_id == TRACE_ID
    assert passed_on.is_sampled
    assert kept.names == [["Feed"]]


@pytest.mark.parametrize("way", [Way.ALONE, Way.STREAMING])
def test_a_trace_that_begins_here_has_the_id_of_the_request_where_that_can_be_one(kept, way):
    for request_id, is_taken in ((TRACE_ID, True), ("app-7.1", False), ("0" * 32, False)):
        with reported("/dousheng.VideoService/Feed", request_id, traceparent=None, way=way):
            assert (current_trace_id() == request_id) is is_taken


@pytest.mark.parametrize("request_id", ["app-7.1", "0" * 32, "z" * 32])
def test_whatever_a_caller_says_who_does_not_trace_what_is_kept_has_an_id(request_id):
    kept = Kept()

    with (
        record(kept, slow_s=1e-9),
        reported("/dousheng.VideoService/Feed", request_id, traceparent=None, way=Way.TOGETHER),
        child("SELECT"),
    ):
        pass

    [part] = kept.parts
    [request, step] = part.spans
    assert is_trace_id(request.trace_id)
    assert step.trace_id == request.trace_id
    assert request.parent_id == 0


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00-abc-def-01",
        f"ff-{TRACE_ID}-b7ad6b7169203331-01",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"00-{TRACE_ID.upper()}-b7ad6b7169203331-01",
        SAMPLED + "\n",
    ],
)
def test_a_header_that_makes_no_sense_begins_a_new_trace(kept, header):
    with begin_request("Feed", "f" * 32, traceparent=header):
        assert current_trace_id() == "f" * 32


def test_a_context_survives_its_header():
    context = TraceContext.parse(SAMPLED)

    assert context is not None
    assert context.format() == SAMPLED


def test_a_batch_is_kept_for_the_sampled_traces_that_it_goes_on_with(kept):
    with begin_batch("flush") as span:
        span.link(UNSAMPLED)
        span.link(None)
    with begin_batch("flush") as span:
        span.link(SAMPLED)

    assert kept.names == [["flush"]]
    assert kept.links == [[TRACE_ID]]


def test_a_job_goes_on_in_the_trace_that_put_it_aside(kept):
    with begin_job("process upload", traceparent=SAMPLED):
        assert current_trace_id() == TRACE_ID

    assert kept.names == [["process upload"]]


async def test_what_a_request_leaves_behind_is_not_part_of_it(kept):
    go_on = asyncio.Event()

    async def afterwards():
        await go_on.wait()
        return child("SELECT")

    with begin_request("Feed", TRACE_ID, traceparent=SAMPLED):
        task = asyncio.create_task(afterwards())
    go_on.set()

    assert await task is NO_SPAN
    assert kept.names == [["Feed"]]


def test_what_is_kept_of_a_trace_is_bounded_and_says_what_it_lacks(kept):
    with begin_request("stream", TRACE_ID, traceparent=SAMPLED):
        for _ in range(MOST_STEPS + 5):
            with child("SELECT"):
                pass

    assert len(kept.names[0]) == 1 + MOST_STEPS
    assert kept.left_out == 5


async def test_each_of_the_calls_that_travel_together_has_its_own_trace(kept):
    ids = [f"{number:032x}" for number in range(1, 21)]

    async def ask(world, trace_id: str) -> None:
        with (
            begin_request("request", TRACE_ID, traceparent=f"00-{trace_id}-b7ad6b7169203331-00"),
            observe_call("UserInfo"),
        ):
            await world.info(7, metadata=dict(with_trace("app-7.1", "UserInfo")))

    async with serving_together() as world:
        await asyncio.gather(*(ask(world, trace_id) for trace_id in ids))
        seen = [metadata[TRACEPARENT] for _, metadata, _ in world.handler.seen]

    assert sorted(header.split("-")[1] for header in seen) == ids


async def test_a_call_that_travels_with_others_is_a_step_below_its_caller():
    kept = Kept()

    with record(kept, ratio=1.0):
        async with serving_together() as world:
            with begin_request("request", new_trace_id()):
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
                begin_request("request", TRACE_ID),
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

    with record(kept, slow_s=0.2), begin_request("Feed", TRACE_ID, traceparent=header):
        for name, duration in (("brief", 0), ("long", 200)):
            with step(name):
                wait_ms(duration)
        with suppress(DependencyUnavailable), step("failed"):
            raise DependencyUnavailable(detail="mysql")

    brief = ["brief"] if header is SAMPLED else []
    assert kept.names == [["Feed", *brief, "long", "failed"]]
    assert kept.errors[0][-1] == "DependencyUnavailable"
    assert kept.left_out == 1 - len(brief)


def test_a_block_that_was_cancelled_is_seen_where_it_took_long(kept):
    with (
        record(kept, slow_s=0.01),
        suppress(asyncio.CancelledError),
        begin_request("Feed", TRACE_ID),
        child("redis"),
    ):
        wait_ms(20)
        raise asyncio.CancelledError

    assert kept.names == [["Feed", "redis"]]


def test_what_is_ended_by_hand_is_seen_even_if_nobody_ends_it():
    kept = Kept()

    with record(kept, slow_s=1e-9), begin_request("Feed", TRACE_ID):
        begin_child("SELECT")

    assert kept.names == [["Feed", "SELECT"]]
    assert kept.errors == [["", "not ended when its request was"]]


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
        begin_request("request", TRACE_ID),
    ):
        metadata = with_trace(
            TRACE_ID if is_drawn else "app-7.1", "UserInfo", {"x-client-address": "::1"}
        )

    assert metadata.keys() == {"x-client-address", TRACEPARENT}
    assert is_sampled(metadata[TRACEPARENT]) is is_drawn


def test_what_describes_a_request_is_made_only_where_it_is_kept(kept):
    class Described(RequestSpan):
        def describe(self) -> None:
            self.rename("described")

    for header in (UNSAMPLED, SAMPLED):
        request = Described("request", Kind.SERVER, {})
        request.begin_request(TRACE_ID, header)
        with request:
            pass
        assert (request.name == "described") is (header is SAMPLED)

    assert kept.names == [["described"]]
