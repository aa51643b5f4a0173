"""Who follows whom."""

from fastapi import APIRouter
from starlette.responses import Response

from gateway import schemas
from gateway.authentication import OptionalViewer, RequiredViewer
from gateway.parameters import ActionType, Cursor, Limit, ToUserId, UserId
from gateway.relay import relay
from protos.relation_pb2 import (
    RelationActionRequest,
    RelationFollowerListRequest,
    RelationFollowListRequest,
    RelationFriendListRequest,
)

router = APIRouter(prefix="/douyin/relation", tags=["relation"])


@router.post("/action/", response_model=schemas.Envelope)
async def relation_action(
    viewer: RequiredViewer, to_user_id: ToUserId, action_type: ActionType
) -> Response:
    """Follow a user (1) or stop following them (2)."""
    request = RelationActionRequest(
        token=viewer.token, to_user_id=to_user_id, action_type=action_type
    )
    return await relay(viewer, viewer.clients.relation.stub.RelationAction, request)


@router.get("/follow/list/", response_model=schemas.UserListReply)
async def follow_list(
    viewer: OptionalViewer, user_id: UserId, limit: Limit = 0, cursor: Cursor = ""
) -> Response:
    """List the users whom a user follows, newest action first."""
    request = RelationFollowListRequest(
        user_id=user_id, token=viewer.token, limit=limit, cursor=cursor
    )
    return await relay(viewer, viewer.clients.relation.stub.RelationFollowList, request)


@router.get("/follower/list/", response_model=schemas.UserListReply)
async def follower_list(
    viewer: OptionalViewer, user_id: UserId, limit: Limit = 0, cursor: Cursor = ""
) -> Response:
    """List the users who follow a user, newest action first."""
    request = RelationFollowerListRequest(
        user_id=user_id, token=viewer.token, limit=limit, cursor=cursor
    )
    return await relay(viewer, viewer.clients.relation.stub.RelationFollowerList, request)


@router.get("/friend/list/", response_model=schemas.FriendListReply)
async def friend_list(
    viewer: RequiredViewer, user_id: UserId, limit: Limit = 0, cursor: Cursor = ""
) -> Response:
    """List the viewer's own friends with the latest message of each pair."""
    request = RelationFriendListRequest(
        user_id=user_id, token=viewer.token, limit=limit, cursor=cursor
    )
    return await relay(viewer, viewer.clients.relation.stub.RelationFriendList, request)
