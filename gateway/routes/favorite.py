"""Likes of videos."""

from fastapi import APIRouter
from starlette.responses import Response

from gateway import schemas
from gateway.authentication import OptionalViewer, RequiredViewer
from gateway.parameters import ActionType, Cursor, Limit, UserId, VideoId
from gateway.relay import relay
from protos.favorite_pb2 import FavoriteActionRequest, FavoriteListRequest

router = APIRouter(prefix="/douyin/favorite", tags=["favorite"])


@router.post("/action/", response_model=schemas.Envelope)
async def favorite_action(
    viewer: RequiredViewer, video_id: VideoId, action_type: ActionType
) -> Response:
    """Like a video (1) or stop liking it (2)."""
    request = FavoriteActionRequest(
        user_id=viewer.user_id, token=viewer.token, video_id=video_id, action_type=action_type
    )
    return await relay(viewer, viewer.clients.favorite.stub.FavoriteAction, request)


@router.get("/list/", response_model=schemas.VideoListReply)
async def favorite_list(
    viewer: OptionalViewer, user_id: UserId, limit: Limit = 0, cursor: Cursor = ""
) -> Response:
    """List the videos that a user likes, newest action first."""
    request = FavoriteListRequest(user_id=user_id, token=viewer.token, limit=limit, cursor=cursor)
    return await relay(viewer, viewer.clients.favorite.stub.FavoriteList, request)
