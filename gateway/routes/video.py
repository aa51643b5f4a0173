"""The feed, publishing, and what became of it."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from gateway import schemas
from gateway.authentication import (
    TOKEN_REQUIRED,
    OptionalViewer,
    RequiredViewer,
    TokenParameter,
)
from gateway.parameters import (
    Cursor,
    LatestTime,
    Limit,
    OptionalVideoId,
    UserId,
    parse_latest_time,
)
from gateway.relay import relay
from gateway.replies import convert, success
from gateway.state import get_state
from gateway.upload_entry import enter_upload
from gateway.uploads import expected_bytes, hand_over, receive_form
from protos.video_pb2 import FeedRequest, PublishListRequest, PublishStatusRequest

router = APIRouter(prefix="/douyin", tags=["video"])

UPLOAD_FORM: dict[str, Any] = {
    "security": TOKEN_REQUIRED,
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["title", "data"],
                    "properties": {
                        "title": {"type": "string", "description": "1 to 50 characters."},
                        "data": {"type": "string", "format": "binary", "description": "A video."},
                        "token": {"type": "string", "description": "Where the query has none."},
                    },
                }
            }
        },
    },
}


@router.get("/feed/", response_model=schemas.FeedReply)
async def feed(viewer: OptionalViewer, latest_time: LatestTime = "") -> Response:
    """Show at most 30 videos, newest first; continue with `latest_time` = `next_time`."""
    request = FeedRequest(latest_time=parse_latest_time(latest_time), token=viewer.token)
    if not request.latest_time and not viewer.user_id:
        return await viewer.state.newest_feed.reply(viewer.media_base)
    return await relay(viewer, viewer.clients.video.stub.Feed, request)


@router.post("/publish/action/", response_model=schemas.PublishReply, openapi_extra=UPLOAD_FORM)
async def publish_action(request: Request, token: TokenParameter = "") -> Response:
    """Upload a video; it appears once it has been processed (see `publish/status`)."""
    state = get_state(request)
    async with enter_upload(request, token) as entry:
        # Raises when the service is down, so that the client does not upload in vain.
        _ = state.clients.video.stub
        with state.spool.open(max_bytes=expected_bytes(request, state.max_upload_bytes)) as file:
            form = await receive_form(
                request,
                file,
                state.settings,
                max_video_bytes=state.max_upload_bytes,
                on_token=entry.identify,
            )
            # Asked for again: the instances may have changed while the upload arrived.
            reply = await hand_over(
                state.clients.video.stub,
                file,
                form,
                token=entry.require_viewer().token,
                timeout_s=state.settings.hand_over_time_s(form.video_bytes),
            )
    return success(convert(reply, media_base=""))


@router.get("/publish/list/", response_model=schemas.VideoListReply)
async def publish_list(
    viewer: OptionalViewer, user_id: UserId, limit: Limit = 0, cursor: Cursor = ""
) -> Response:
    """List the published videos of a user, newest first."""
    request = PublishListRequest(user_id=user_id, token=viewer.token, limit=limit, cursor=cursor)
    return await relay(viewer, viewer.clients.video.stub.PublishList, request)


@router.get("/publish/status/", response_model=schemas.PublishStatusReply)
async def publish_status(
    viewer: RequiredViewer,
    video_id: OptionalVideoId = 0,
    limit: Limit = 0,
    cursor: Cursor = "",
) -> Response:
    """List the viewer's recent uploads, newest first, whatever became of them."""
    request = PublishStatusRequest(
        token=viewer.token, video_id=video_id, limit=limit, cursor=cursor
    )
    return await relay(viewer, viewer.clients.video.stub.PublishStatus, request)
