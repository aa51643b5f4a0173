"""The gRPC edge of FavoriteService."""

from dataclasses import dataclass
from typing import Any

import grpc

from dal.registers.lists import RegisterLists
from dal.registers.model import ActionType, Kind
from pkg.paging import parse_page_request
from protos import favorite_pb2_grpc
from protos.favorite_pb2 import (
    FavoriteActionReply,
    FavoriteActionRequest,
    FavoriteListReply,
    FavoriteListRequest,
)
from services.actions.intake import ActionIntake, ExistenceCache
from services.cards import make_reply
from services.identity import Viewers
from services.presenters import Presenter
from services.requests import parse_action_type

Context = grpc.aio.ServicerContext[Any, Any]
LIST_LIMIT = 100


@dataclass(frozen=True, kw_only=True, eq=False)
class FavoriteHandler(favorite_pb2_grpc.FavoriteServiceServicer):
    """Answers FavoriteService; errors are raised and translated by the interceptor."""

    intake: ActionIntake
    users: ExistenceCache
    lists: RegisterLists
    presenter: Presenter
    viewers: Viewers

    async def FavoriteAction(
        self, request: FavoriteActionRequest, context: Context
    ) -> FavoriteActionReply:
        actor_id = await self.viewers.require(request.token)
        action_type = parse_action_type(ActionType, request.action_type)
        await self.intake.accept(
            user_id=actor_id, target_id=request.video_id, action_type=action_type
        )
        return FavoriteActionReply()

    async def FavoriteList(
        self, request: FavoriteListRequest, context: Context
    ) -> FavoriteListReply:
        viewer_id = await self.viewers.find(request.token)
        await self.users.require(request.user_id)
        page = await self.lists.list_targets(
            Kind.FAVORITE,
            request.user_id,
            parse_page_request(request.cursor, request.limit, default=LIST_LIMIT),
            viewer_id=viewer_id,
        )
        await self.presenter.look()
        cards = await self.presenter.list_video_cards(page.items, viewer_id)
        return make_reply(FavoriteListReply, video_list=cards, next_cursor=page.next_cursor)
