"""What is traced, what of it is kept, and how a trace goes on in another process."""

import asyncio
from collections.abc import Iterator

import pytest

from pkg.errors import DependencyUnavailable, VideoNotFound
from pkg.rpc.interceptor import Way, reported
from pkg.tracing import (
    NO_SPAN,
    RequestSpan,
    begin_batch,
    begin_job,
    child,
    current_trace_id,
    current_traceparent,
    find_kept_trace_id,
    is_trace_id,
)
from pkg.tracing.context import TraceContext
from pkg.tracing.spans import MOST_STEPS
from tests.traced import SAMPLED, TRACE_ID, UNSAMPLED, Kept, a_request, record, wait_ms


@pytest.fixture
def kept() -> Iterator[Kept]:
    """Nothing is sampled, and nothing is slow."""
    found = Kept()
    with record(found):
        yield found


def test_while_tracing_is_off_nothing_is_made():
    with a_request("Feed", TRACE_ID, traceparent=SAMPLED) as request:
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
            with a_request("Feed", TRACE_ID), child("SELECT"):
                pass

    assert kept.names == [["Feed", "SELECT"]] * 3


def test_what_is_neither_sampled_nor_slow_nor_failed_is_forgotten(kept):
    with a_request("Feed", TRACE_ID), child("SELECT"):
        assert find_kept_trace_id() is None

    assert kept.names == []


def test_a_slow_request_is_kept():
    kept = Kept()

    with (
        record(kept, slow_s=0.001),
        a_request("Feed", TRACE_ID, traceparent=UNSAMPLED),
        child("SELECT"),
    ):
        wait_ms(2)

    assert kept.names == [["Feed", "SELECT"]]


def test_what_has_its_own_pace_is_never_slow():
    kept = Kept()

    with record(kept, slow_s=0.001), a_request("up", TRACE_ID, is_ever_slow=False):
        wait_ms(2)

    assert kept.names == []


async def test_a_failed_request_is_kept_and_an_exception_that_is_an_answer_is_no_failure(kept):
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
        a_request("Feed", TRACE_ID, traceparent=SAMPLED),
        pytest.raises(ValueError, match="secret"),
        child("SELECT"),
    ):
        raise ValueError("secret")

    assert kept.errors == [[None, "ValueError"]]


def test_a_sampled_trace_of_somebody_else_is_kept_and_goes_on(kept):
    with a_request("Feed", "f" * 32, traceparent=SAMPLED):
        assert current_trace_id() == TRACE_ID
        assert find_kept_trace_id() == TRACE_ID
        passed_on = TraceContext.parse(current_traceparent())

    assert passed_on is not None
    assert passed_on.trace_id == TRACE_ID
    assert passed_on.is_sampled
    assert kept.names == [["Feed"]]


@pytest.mark.parametrize("way", [Way.ALONE, Way.STREAMING])
async def test_a_trace_that_begins_here_has_the_id_of_the_request_where_that_can_be_one(kept, way):
    for request_id, is_taken in ((TRACE_ID, True), ("app-7.1", False), ("0" * 32, False)):
        with reported("/dousheng.VideoService/Feed", request_id, traceparent=None, way=way):
            assert (current_trace_id() == request_id) is is_taken


@pytest.mark.parametrize("request_id", ["app-7.1", "0" * 32, "z" * 32])
async def test_whatever_a_caller_says_who_does_not_trace_what_is_kept_has_an_id(request_id):
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
    with a_request("Feed", "f" * 32, traceparent=header):
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

    with a_request("Feed", TRACE_ID, traceparent=SAMPLED):
        task = asyncio.create_task(afterwards())
    go_on.set()

    assert await task is NO_SPAN
    assert kept.names == [["Feed"]]


def test_what_is_kept_of_a_trace_is_bounded_and_says_what_it_lacks(kept):
    with a_request("stream", TRACE_ID, traceparent=SAMPLED):
        for _ in range(MOST_STEPS + 5):
            with child("SELECT"):
                pass

    assert len(kept.names[0]) == 1 + MOST_STEPS
    assert kept.left_out == 5


def test_what_describes_a_request_is_made_only_where_it_is_kept(kept):
    class Described(RequestSpan):
        def describe(self) -> None:
            self.rename("described")

    for header in (UNSAMPLED, SAMPLED):
        with a_request("request", TRACE_ID, traceparent=header, made_as=Described) as request:
            pass
        assert (request.name == "described") is (header is SAMPLED)

    assert kept.names == [["described"]]
