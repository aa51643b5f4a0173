"""One trace from nginx's request to the last row, as a receiver of OpenTelemetry's protocol sees it."""

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.eventually import eventually
from tests.otlp_receiver import OtlpReceiver, Trace
from tests.system.app import App
from tests.system.publishing import wait_published


async def traced(app: App, method: str, path: str, **params: Any) -> tuple[str, httpx.Response]:
    """Send one request, and return the id of its trace with the reply."""
    request_id = uuid.uuid4().hex
    reply = await app.send(method, path, headers={"X-Request-ID": request_id}, **params)
    assert reply.headers["x-request-id"] == reply.headers["x-trace-id"] == request_id
    return request_id, reply


async def whole(traces: OtlpReceiver, trace_id: str, *steps: tuple[str, str]) -> Trace:
    """Wait until all of these steps have come and hang together, and return the trace."""

    def come() -> Trace:
        trace = traces.trace(trace_id)
        assert trace.steps >= set(steps)
        assert len(trace.roots) == 1, trace.roots
        return trace

    return await eventually(come)


async def test_a_feed_is_one_trace_through_gateway_service_and_servers(
    author: App, traces: OtlpReceiver
) -> None:
    trace_id, _ = await traced(author, "GET", "douyin/feed/")

    trace = await whole(
        traces,
        trace_id,
        ("gateway", "GET /douyin/feed/"),
        ("gateway", "Feed"),
        ("video", "Feed"),
        ("video", "SELECT"),
    )
    assert trace.roots == ["GET /douyin/feed/"]
    assert trace.path_to("SELECT") == ["GET /douyin/feed/", "Feed", "Feed", "SELECT"]
    # The rest may be in memory; who was never seen before is not.
    assert "JOIN users" in trace.sql


async def test_a_publish_is_one_trace_until_the_video_is_published(
    author: App, traces: OtlpReceiver, small_video: Path
) -> None:
    with small_video.open("rb") as video:
        trace_id, reply = await traced(
            author,
            "POST",
            "douyin/publish/action/",
            files={"data": ("a.mp4", video)},
            data={"title": "一个视频", "token": author.token},
            token=None,
        )
    await wait_published(author, reply.json()["video_id"])

    trace = await whole(
        traces,
        trace_id,
        ("gateway", "POST /douyin/publish/action/"),
        ("video", "PublishAction"),
        ("video", "process upload"),
        ("video", "ffprobe"),
        ("video", "ffmpeg"),
        ("video", "s3 PUT"),
        ("video", "UPDATE"),
    )
    assert trace.path_to("process upload")[0] == "POST /douyin/publish/action/"
    assert trace.path_to("ffmpeg")[-2] == "process upload"


async def test_a_like_goes_on_in_the_consumer_and_in_the_flush_that_wrote_its_row(
    author: App, phone: Callable[[], App], traces: OtlpReceiver, small_video: Path
) -> None:
    video_id = await author.publish(small_video, "喜欢我")
    await wait_published(author, video_id)
    fan = await phone().register()

    like = {"video_id": video_id, "action_type": 1}
    trace_id, _ = await traced(fan, "POST", "douyin/favorite/action/", **like)

    await whole(
        traces,
        trace_id,
        ("gateway", "POST /douyin/favorite/action/"),
        ("favorite", "FavoriteAction"),
        ("favorite", "publish favorite"),
    )
    consumed = await eventually(lambda: traces.linked_to(trace_id, "process favorite"))
    assert ("favorite", "redis EVALSHA") in consumed.steps
    flushed = await eventually(lambda: traces.linked_to(trace_id, "flush favorite"))
    assert flushed.path_to("INSERT")[:2] == ["flush favorite", "transaction"]
    assert "INTO user_favorite_videos" in flushed.sql
