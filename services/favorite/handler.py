"""The gRPC edge of FavoriteService."""

from typing import Any

import grpc

from dal.registers.lists import ActionLists
from dal.registers.model import Kind
from pkg.paging import decode_cursor, read_limit
from pkg.token import TokenVerifier
from protos import favorite_pb2_grpc
from protos.favorite_pb2 import (
    FavoriteActionReply,
    FavoriteActionRequest,
    FavoriteListReply,
    FavoriteListRequest,
)
from services.actions.intake import ActionIntake, KnownTargets, parse_action_type
from services.actions.pages import page_cursor
from services.presenters import Presenter

Context = grpc.aio.ServicerContext[Any, Any]
LIST_LIMIT = 100


class FavoriteHandler(favorite_pb2_grpc.FavoriteServiceServicer):
    """Answers FavoriteService; errors are raised and translated by the interceptor."""

    def __init__(
        self,
        *,
        intake: ActionIntake,
        videos: KnownTargets,
        users: KnownTargets,
        lists: ActionLists,
        presenter: Presenter,
        verifier: TokenVerifier,
    ) -> None:
        self._intake = intake
        self._videos = videos
        self._users = users
        self._lists = lists
        self._presenter = presenter
        self._verifier = verifier

    async def FavoriteAction(
        self, request: FavoriteActionRequest, context: Context
    ) -> FavoriteActionReply:
        actor_id = self._verifier.verify(request.token)
        action_type = parse_action_type(request.action_type)
        await self._videos.require(request.video_id)
        await self._intake.accept(
            user_id=actor_id, target_id=request.video_id, action_type=action_type
        )
        return FavoriteActionReply()

    async def FavoriteList(
        self, request: FavoriteListRequest, context: Context
    ) -> FavoriteListReply:
        viewer_id = self._verifier.find_user(request.token)
        await self._users.require(request.user_id)
        page = await self._lists.list_targets(
            Kind.FAVORITE,
            request.user_id,
            viewer_id=viewer_id,
            before=decode_cursor(request.cursor),
            limit=read_limit(request.limit, default=LIST_LIMIT),
        )
        return FavoriteListReply(
            video_list=await self._presenter.list_video_cards_by_id(page.ids, viewer_id),
            next_cursor=page_cursor(page),
        )
