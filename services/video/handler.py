"""The gRPC edge of VideoService."""

import math
from collections.abc import AsyncIterator
from typing import Any

import grpc

from dal.db.engine import Database
from dal.db.models import VideoStatus
from dal.db.upload_jobs import PublicationRow, list_publications
from dal.db.upload_queue import list_waiting
from dal.redis.changes import ChangeLog
from pkg.clock import now_ms
from pkg.errors import InvalidParameter, VideoNotFound
from pkg.paging import FROM_THE_START, make_page, parse_page_request
from pkg.single_flight import SingleFlight
from pkg.uploads import UPLOAD_ACCEPTED, transfer_time_s
from protos import video_pb2_grpc
from protos.video_pb2 import (
    FeedReply,
    FeedRequest,
    Publication,
    PublishActionReply,
    PublishActionRequest,
    PublishListReply,
    PublishListRequest,
    PublishStatusReply,
    PublishStatusRequest,
)
from services.cards import make_reply
from services.identity import Viewers
from services.presenters import Presenter
from services.video.outcomes import Outcomes
from services.video.timeline import LIST_LIMIT, Timeline, announce_publication
from services.video.uploads import Upload, Uploads

Context = grpc.aio.ServicerContext[Any, Any]
# What a reply takes from here to the gateway's caller.
REPLY_MARGIN_S = 0.4


class VideoHandler(video_pb2_grpc.VideoServiceServicer):
    """Answers VideoService; errors are raised and translated by the interceptor."""

    def __init__(
        self,
        *,
        database: Database,
        uploads: Uploads,
        outcomes: Outcomes,
        timeline: Timeline,
        changes: ChangeLog,
        presenter: Presenter,
        viewers: Viewers,
    ) -> None:
        self._database = database
        self._uploads = uploads
        self._outcomes = outcomes
        self._timeline = timeline
        self._changes = changes
        self._presenter = presenter
        self._viewers = viewers
        self._queue = SingleFlight(self._load_queue)

    async def Feed(self, request: FeedRequest, context: Context) -> FeedReply:
        viewer_id = await self._viewers.find(request.token)
        before_ms = request.latest_time if request.latest_time > 0 else FROM_THE_START
        await self._presenter.look()
        listed = await self._timeline.list_feed(before_ms)
        cards = await self._presenter.list_video_cards([video.id for video in listed], viewer_id)
        return make_reply(
            FeedReply,
            video_list=cards,
            next_time=listed[-1].published_at_ms if listed else now_ms(),
        )

    async def PublishAction(
        self, request_iterator: AsyncIterator[PublishActionRequest], context: Context
    ) -> PublishActionReply:
        async for first in request_iterator:
            author_id = await self._viewers.require(first.token)
            upload = Upload(author_id, first.title, first.size)
            video_id = await self._uploads.receive(
                upload,
                _chunks(first, request_iterator),
                on_accepted=lambda: context.send_initial_metadata((UPLOAD_ACCEPTED,)),
            )
            await self._outcomes.wait(video_id, at_most_s=_time_left_s(context, first.size))
            # Another instance may have published it a moment ago, and be about to announce it.
            await announce_publication(self._changes, video_id=video_id, author_id=author_id)
            return PublishActionReply(video_id=video_id)
        raise InvalidParameter("上传没有完成,请重试")

    async def PublishList(self, request: PublishListRequest, context: Context) -> PublishListReply:
        viewer_id = await self._viewers.find(request.token)
        wanted = parse_page_request(request.cursor, request.limit, default=LIST_LIMIT)
        await self._presenter.look()
        listed = await self._timeline.list_of_author(request.user_id, wanted)
        page = make_page(listed, wanted, key=lambda video: video.published_at_ms)
        cards = await self._presenter.list_video_cards(
            [video.id for video in page.items], viewer_id
        )
        return make_reply(PublishListReply, video_list=cards, next_cursor=page.next_cursor)

    async def PublishStatus(
        self, request: PublishStatusRequest, context: Context
    ) -> PublishStatusReply:
        viewer_id = await self._viewers.require(request.token)
        wanted = parse_page_request(request.cursor, request.limit, default=LIST_LIMIT)
        async with self._database.read_source() as connection:
            rows = await list_publications(
                connection,
                author_id=viewer_id,
                video_id=request.video_id or None,
                before_id=wanted.before,
                limit=wanted.fetch_limit,
            )
        if request.video_id and not rows:
            raise VideoNotFound
        waits = any(row.status is VideoStatus.PROCESSING for row in rows)
        places = await self._queue.get() if waits else {}
        page = make_page(rows, wanted, key=lambda row: row.id).map(
            lambda row: _to_publication(row, places.get(row.id, 0))
        )
        return PublishStatusReply(publish_list=page.items, next_cursor=page.next_cursor)

    async def _load_queue(self) -> dict[int, int]:
        async with self._database.read_source() as connection:
            return await list_waiting(connection)


async def _chunks(
    first: PublishActionRequest, rest: AsyncIterator[PublishActionRequest]
) -> AsyncIterator[bytes]:
    yield first.data
    async for request in rest:
        yield request.data


def _time_left_s(context: Context, size: int) -> float:
    """Return how long the reply may wait: the app gives up soon, so the time that a deadline adds for the size is not for waiting."""
    remaining_s: float | None = context.time_remaining()
    if remaining_s is None:
        return math.inf
    return remaining_s - transfer_time_s(size) - REPLY_MARGIN_S


def _to_publication(row: PublicationRow, queue_position: int) -> Publication:
    # To its author an upload that is being stored is already under way.
    status = VideoStatus.PROCESSING if row.status is VideoStatus.UPLOADING else row.status
    return Publication(
        video_id=row.id,
        title=row.title,
        status=status,
        reason=row.failure_reason if status is VideoStatus.FAILED else "",
        create_time=row.created_at_ms,
        progress=100 if status is VideoStatus.PUBLISHED else row.progress_percent,
        queue_position=queue_position,
    )
