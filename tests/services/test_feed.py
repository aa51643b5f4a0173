"""Feed and lists over real gRPC: what is shown, in which order, and to whom."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, update

from dal.db.models import FavoriteVideo, Relation, Video
from dal.db.upload_jobs import fail_video, set_failure_reason
from dal.db.videos import ListedVideo
from dal.redis.changes import ChangeLog, ChangeWatch
from dal.redis.overlay import Overlay
from dal.registers.flags import ViewerFlags
from pkg.clock import now_ms
from pkg.errors import InvalidParameter, Unauthenticated, UserNotFound, VideoNotFound
from pkg.rpc.client import call
from pkg.spool import Spool, SpoolLimits
from protos.video_pb2 import (
    FeedReply,
    FeedRequest,
    PublishListReply,
    PublishListRequest,
    PublishStatusReply,
    PublishStatusRequest,
)
from protos.video_pb2_grpc import VideoServiceStub, add_VideoServiceServicer_to_server
from services.identity import Viewers
from services.presenters import Presenter
from services.video import timeline
from services.video.handler import VideoHandler
from services.video.leases import Leases
from services.video.outcomes import Outcomes
from services.video.timeline import FEED_LIMIT, Stretch, Timeline
from services.video.uploads import Uploads
from tests.serving import counted_statements, methods_of, serving

if TYPE_CHECKING:
    from protos.video_pb2_grpc import VideoServiceAsyncStub

BAD_TOKENS = ["", "junk", "a.b.c"]


@dataclass
class Phone:
    stub: "VideoServiceAsyncStub"

    async def feed(self, latest_time: int = 0, token: str = "") -> FeedReply:
        request = FeedRequest(latest_time=latest_time, token=token)
        return await call(self.stub.Feed, request, timeout_s=10)

    async def list_of(self, user_id: int, **fields: object) -> PublishListReply:
        request = PublishListRequest(user_id=user_id, **fields)  # type: ignore[arg-type]
        return await call(self.stub.PublishList, request, timeout_s=10)

    async def status(self, token: str, **fields: object) -> PublishStatusReply:
        request = PublishStatusRequest(token=token, **fields)  # type: ignore[arg-type]
        return await call(self.stub.PublishStatus, request, timeout_s=10)


@pytest.fixture
def watch(request, actions_redis) -> ChangeWatch | None:
    """What is shown is kept in memory, unless a test says otherwise."""
    return ChangeWatch(actions_redis) if getattr(request, "param", True) else None


@pytest.fixture
async def phone(
    videos, storage, verifier, tmp_path, *, actions_redis, watch
) -> AsyncIterator[Phone]:
    database, changes = videos.database, ChangeLog(actions_redis)
    videos.changes = changes
    flags = ViewerFlags(database, Overlay(actions_redis), watch)
    handler = VideoHandler(
        database=database,
        uploads=Uploads(
            database=database,
            storage=storage,
            leases=Leases(database, lease_s=30),
            max_bytes=1024 * 1024,
            max_unfinished=10,
            spool=Spool(tmp_path, SpoolLimits(max_mb=4, min_free_mb=1)),
            on_uploaded=lambda: None,
        ),
        outcomes=Outcomes(database, wait_s=1, max_waiting=1),
        timeline=Timeline(database, watch),
        changes=changes,
        presenter=Presenter(database, flags, watch),
        viewers=Viewers(verifier, database),
    )
    async with serving(
        lambda server: add_VideoServiceServicer_to_server(handler, server)
    ) as channel:
        yield Phone(VideoServiceStub(methods_of(channel)))


def times(reply: FeedReply | PublishListReply) -> list[int]:
    return [video.create_time for video in reply.video_list]


@pytest.mark.parametrize("watch", [True, False], ids=["kept", "not kept"], indirect=True)
async def test_the_feed_holds_the_newest_thirty_each_strictly_older(phone, videos, watch):
    published = [await videos.add_published() for _ in range(34)][::-1]

    first = await phone.feed()
    second = await phone.feed(first.next_time)

    assert times(first) == published[:30]
    assert first.next_time == published[29]
    assert times(second) == published[30:]
    assert second.next_time == published[-1]


async def test_a_walk_goes_on_below_what_is_read_together(phone, videos, monkeypatch):
    monkeypatch.setattr(timeline, "NEWEST_VIDEOS", 33)
    published = [await videos.add_published() for _ in range(40)][::-1]
    walked: list[int] = []
    reply = await phone.feed(published[0])

    while reply.video_list:
        walked += times(reply)
        reply = await phone.feed(reply.next_time)

    assert walked == published[1:]


@given(
    times=st.sets(st.integers(1, 200), max_size=99),
    length=st.integers(1, 99),
    at=st.integers(0, 201),
)
def test_a_page_out_of_a_stretch_is_that_of_the_whole_feed_or_none(times, length, at):
    feed = [ListedVideo(number, number) for number in sorted(times, reverse=True)]
    stretch = Stretch(feed[:length], length)

    page = stretch.find_page(at)

    below = [video for video in feed if video.published_at_ms < at][:FEED_LIMIT]
    assert page == below or (page is None and len(feed) >= length)


async def test_many_pages_at_once_cost_a_statement_together(phone, videos):
    published = [await videos.add_published() for _ in range(10)][::-1]

    with counted_statements() as statements:
        replies = await asyncio.gather(*(phone.feed(at) for at in published))

    assert [times(reply) for reply in replies] == [published[n:] for n in range(1, 11)]
    pages = [sql for sql in statements if "ORDER BY videos.published_at_ms" in sql]
    assert len(pages) == 1


async def test_where_nothing_is_left_the_app_starts_over(phone, videos):
    oldest = await videos.add_published()
    before = now_ms()

    reply = await phone.feed(oldest)

    assert times(reply) == []
    assert before <= reply.next_time <= now_ms()


@pytest.mark.parametrize("latest_time", [0, -1, 2**62])
async def test_a_time_that_makes_no_sense_is_now(phone, videos, latest_time):
    published = await videos.add_published()

    assert times(await phone.feed(latest_time)) == [published]


async def test_only_what_is_published_is_shown_to_anybody(phone, videos, issuer):
    await videos.upload()
    await videos.add_job()
    await videos.claim()
    token = issuer.issue(videos.author_id)

    assert times(await phone.feed(token=token)) == []
    assert times(await phone.list_of(videos.author_id, token=token)) == []


async def test_a_walk_shows_all_that_was_there_once_while_others_publish_and_like(phone, videos):
    there = [await videos.add_published() for _ in range(65)][::-1]
    done = asyncio.Event()

    async def disturb() -> None:
        while not done.is_set():
            await videos.add_published()
            async with videos.database.write() as connection:
                statement = update(Video).where(Video.published_at_ms.in_(there[::7]))
                await connection.execute(statement.values(favorite_count=Video.favorite_count + 1))

    disturbing = asyncio.create_task(disturb())
    seen: list[int] = []
    reply = await phone.feed(there[0] + 1)
    while reply.video_list:
        seen += times(reply)
        reply = await phone.feed(reply.next_time)
    done.set()
    await disturbing

    assert seen == there


@pytest.mark.parametrize("watch", [True, False], ids=["kept", "not kept"], indirect=True)
async def test_the_feed_of_a_viewer_costs_a_fixed_number_of_statements(
    phone, videos, issuer, make_user, *, watch
):
    token = issuer.issue(await make_user())
    await videos.add_published()
    await phone.feed(token=token)  # From here on the service knows that the account is there.
    with counted_statements() as for_one:
        await phone.feed(token=token)
    for _ in range(29):
        await videos.add_published()
    await phone.feed(token=token)  # Whoever rested meanwhile is looked up again.

    with counted_statements() as for_thirty:
        reply = await phone.feed(token=token)

    assert len(reply.video_list) == 30
    assert len(for_thirty) == len(for_one) == (0 if watch else 5)


@pytest.mark.parametrize("watch", [True, False], ids=["kept", "not kept"], indirect=True)
async def test_a_card_in_the_feed_is_relative_to_its_viewer(
    phone, videos, issuer, make_user, *, watch
):
    await videos.add_published()
    viewer = await make_user()
    (card,) = (await phone.feed()).video_list
    action = {"user_id": viewer, "active": True, "acted_at_us": 1}
    async with videos.database.write() as connection:
        await connection.execute(insert(Relation).values(to_user_id=videos.author_id, **action))
        await connection.execute(insert(FavoriteVideo).values(video_id=card.id, **action))

    (seen,) = (await phone.feed(token=issuer.issue(viewer))).video_list

    assert (seen.is_favorite, seen.author.is_follow) == (True, True)
    assert (card.is_favorite, card.author.is_follow) == (False, False)


@pytest.mark.parametrize("token", BAD_TOKENS)
async def test_a_broken_token_never_keeps_anybody_from_watching(phone, videos, token):
    published = await videos.add_published()

    assert times(await phone.feed(token=token)) == [published]
    assert times(await phone.list_of(videos.author_id, token=token)) == [published]


@pytest.mark.parametrize("limit", [1, 3, 7])
async def test_a_list_holds_the_videos_of_one_author_page_by_page(phone, videos, make_user, limit):
    published = [await videos.add_published() for _ in range(7)][::-1]
    videos.author_id, author_id = await make_user(), videos.author_id
    await videos.add_published()

    seen: list[int] = []
    cursor = ""
    while True:
        reply = await phone.list_of(author_id, limit=limit, cursor=cursor)
        assert 1 <= len(reply.video_list) <= limit
        seen += times(reply)
        cursor = reply.next_cursor
        if not cursor:
            break

    assert seen == published
    assert times(await phone.list_of(author_id)) == published


async def test_the_list_of_somebody_without_videos_is_empty(phone, make_user):
    reply = await phone.list_of(await make_user())

    assert times(reply) == []
    assert reply.next_cursor == ""


@pytest.mark.parametrize("watch", [True, False], ids=["kept", "not kept"], indirect=True)
async def test_the_list_of_an_unknown_user_is_an_error(phone, watch):
    with pytest.raises(UserNotFound):
        await phone.list_of(2**52)


@pytest.mark.parametrize("fields", [{"limit": -1}, {"limit": 101}, {"cursor": "junk"}], ids=str)
async def test_a_page_that_does_not_exist_is_an_error(phone, videos, issuer, fields):
    with pytest.raises(InvalidParameter):
        await phone.list_of(videos.author_id, **fields)
    with pytest.raises(InvalidParameter):
        await phone.status(issuer.issue(videos.author_id), **fields)


async def test_an_author_is_told_what_became_of_every_upload(phone, videos, issuer):
    failed_id = await videos.add_job()
    failed = await videos.claim()
    async with videos.database.write() as connection:
        await set_failure_reason(connection, failed, reason="视频已损坏")
        await fail_video(connection, failed)
    await videos.add_published()
    failing_id = await videos.add_job()
    failing = await videos.claim()
    async with videos.database.write() as connection:
        await set_failure_reason(connection, failing, reason="还在清理")
    uploading = await videos.upload("第一个 🐶")

    reply = await phone.status(issuer.issue(videos.author_id))

    told = [(p.video_id, p.status, p.reason) for p in reply.publish_list]
    assert told[0] == (uploading.id, "processing", "")
    assert told[1] == (failing_id, "processing", "")
    assert told[2][1:] == ("published", "")
    assert told[3] == (failed_id, "failed", "视频已损坏")
    assert reply.publish_list[0].title == "第一个 🐶"
    assert 0 <= now_ms() - reply.publish_list[0].create_time < 60_000


async def test_one_upload_can_be_asked_for_by_its_author_alone(phone, videos, issuer, make_user):
    video_id = await videos.add_job()
    await videos.add_job()
    own, other = issuer.issue(videos.author_id), issuer.issue(await make_user())

    mine = await phone.status(own, video_id=video_id)

    assert [publication.video_id for publication in mine.publish_list] == [video_id]
    with pytest.raises(VideoNotFound):
        await phone.status(other, video_id=video_id)


async def test_the_status_of_uploads_comes_in_pages(phone, videos, issuer):
    ids = [await videos.add_job() for _ in range(5)][::-1]
    token = issuer.issue(videos.author_id)

    first = await phone.status(token, limit=3)
    second = await phone.status(token, limit=3, cursor=first.next_cursor)

    assert [p.video_id for p in (*first.publish_list, *second.publish_list)] == ids
    assert second.next_cursor == ""
    assert (await phone.status(token, limit=5)).next_cursor == ""


@pytest.mark.parametrize("token", BAD_TOKENS)
async def test_without_a_token_nobody_is_told_of_uploads(phone, token):
    with pytest.raises(Unauthenticated):
        await phone.status(token)
