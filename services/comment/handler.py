"""The gRPC edge of CommentService."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import grpc

from dal.registers.model import ActionType
from pkg.paging import parse_page_request
from protos import comment_pb2_grpc
from protos.comment_pb2 import (
    CommentActionReply,
    CommentActionRequest,
    CommentFavoriteReply,
    CommentFavoriteRequest,
    CommentListReply,
    CommentListRequest,
)
from services.cards import make_reply
from services.comment.comments import Comments
from services.comment.lists import LIST_LIMIT, CommentLists
from services.identity import Viewers
from services.requests import parse_action_type

Context = grpc.aio.ServicerContext[Any, Any]


class CommentAction(IntEnum):
    """`action_type` of CommentAction."""

    ADD = 1
    DELETE = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class CommentHandler(comment_pb2_grpc.CommentServiceServicer):
    """Answers CommentService; errors are raised and translated by the interceptor."""

    comments: Comments
    lists: CommentLists
    viewers: Viewers

    async def CommentAction(
        self, request: CommentActionRequest, context: Context
    ) -> CommentActionReply:
        user_id = await self.viewers.require(request.token)
        action = parse_action_type(CommentAction, request.action_type)
        if action is CommentAction.DELETE:
            await self.comments.delete(
                comment_id=request.comment_id, video_id=request.video_id, user_id=user_id
            )
            return CommentActionReply()
        comment = await self.comments.add(
            video_id=request.video_id, user_id=user_id, text=request.comment_text
        )
        return make_reply(CommentActionReply, comment=comment)

    async def CommentList(self, request: CommentListRequest, context: Context) -> CommentListReply:
        page = await self.lists.list_page(
            request.video_id,
            parse_page_request(request.cursor, request.limit, default=LIST_LIMIT),
            viewer_id=await self.viewers.find(request.token),
        )
        return make_reply(CommentListReply, comment_list=page.items, next_cursor=page.next_cursor)

    async def CommentFavorite(
        self, request: CommentFavoriteRequest, context: Context
    ) -> CommentFavoriteReply:
        user_id = await self.viewers.require(request.token)
        action = parse_action_type(ActionType, request.action_type)
        await self.comments.favorite(
            comment_id=request.comment_id, user_id=user_id, active=action is ActionType.DO
        )
        return CommentFavoriteReply()
