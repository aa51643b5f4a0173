"""Comments and likes of comments."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from gateway import schemas
from gateway.authentication import OptionalViewer, RequiredViewer
from gateway.errors import missing_parameter
from gateway.parameters import (
    ActionType,
    CommentId,
    Cursor,
    Limit,
    OptionalCommentId,
    ProperText,
    VideoId,
)
from gateway.relay import relay
from protos.comment_pb2 import CommentActionRequest, CommentFavoriteRequest, CommentListRequest

router = APIRouter(prefix="/douyin/comment", tags=["comment"])

ADD = 1
CommentText = Annotated[str, Query(description="1 to 255 characters (action_type 1).")]


@router.post("/action/", response_model=schemas.CommentReply, dependencies=[ProperText])
async def comment_action(  # noqa: PLR0917 - FastAPI passes parameters by name
    viewer: RequiredViewer,
    video_id: VideoId,
    action_type: ActionType,
    comment_text: CommentText = "",
    comment_id: OptionalCommentId = 0,
) -> Response:
    """Add a comment (1) or delete one (2)."""
    needed = ("comment_text", comment_text) if action_type == ADD else ("comment_id", comment_id)
    if not needed[1]:
        raise missing_parameter(needed[0])
    request = CommentActionRequest(
        token=viewer.token,
        video_id=video_id,
        action_type=action_type,
        comment_text=comment_text,
        comment_id=comment_id,
    )
    return await relay(viewer, viewer.clients.comment.stub.CommentAction, request)


@router.get("/list/", response_model=schemas.CommentListReply)
async def comment_list(
    viewer: OptionalViewer, video_id: VideoId, limit: Limit = 0, cursor: Cursor = ""
) -> Response:
    """List the comments on a video, newest first."""
    request = CommentListRequest(video_id=video_id, token=viewer.token, limit=limit, cursor=cursor)
    return await relay(viewer, viewer.clients.comment.stub.CommentList, request)


@router.post("/favorite/", response_model=schemas.Envelope)
async def comment_favorite(
    viewer: RequiredViewer, comment_id: CommentId, action_type: ActionType
) -> Response:
    """Like a comment (1) or stop liking it (2)."""
    request = CommentFavoriteRequest(
        token=viewer.token, comment_id=comment_id, action_type=action_type
    )
    return await relay(viewer, viewer.clients.comment.stub.CommentFavorite, request)
