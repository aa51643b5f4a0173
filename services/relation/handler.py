"""The gRPC edge of RelationService."""

from dataclasses import dataclass
from typing import Any

import grpc

from dal.registers.lists import RegisterLists
from dal.registers.model import ActionType, Kind
from pkg.errors import FollowSelf, PermissionDenied
from pkg.paging import parse_page_request
from protos import relation_pb2_grpc
from protos.relation_pb2 import (
    FriendUser,
    RelationActionReply,
    RelationActionRequest,
    RelationFollowerListReply,
    RelationFollowerListRequest,
    RelationFollowListReply,
    RelationFollowListRequest,
    RelationFriendListReply,
    RelationFriendListRequest,
)
from protos.user_pb2 import User
from services.actions.intake import ActionIntake, ExistenceCache
from services.cards import make_reply
from services.identity import Viewers
from services.message_texts import LatestMessage, MessageTexts
from services.presenters import Presenter
from services.requests import parse_action_type

Context = grpc.aio.ServicerContext[Any, Any]
LIST_LIMIT = 500
# `msgType` of a friend's latest message, as the viewer sees it.
RECEIVED, SENT = 0, 1


@dataclass(frozen=True, kw_only=True, eq=False)
class RelationHandler(relation_pb2_grpc.RelationServiceServicer):
    """Answers RelationService; errors are raised and translated by the interceptor."""

    intake: ActionIntake
    users: ExistenceCache
    lists: RegisterLists
    presenter: Presenter
    texts: MessageTexts
    viewers: Viewers

    async def RelationAction(
        self, request: RelationActionRequest, context: Context
    ) -> RelationActionReply:
        actor_id = await self.viewers.require(request.token)
        action_type = parse_action_type(ActionType, request.action_type)
        if request.to_user_id == actor_id:
            raise FollowSelf
        await self.intake.accept(
            user_id=actor_id, target_id=request.to_user_id, action_type=action_type
        )
        return RelationActionReply()

    async def RelationFollowList(
        self, request: RelationFollowListRequest, context: Context
    ) -> RelationFollowListReply:
        viewer_id = await self.viewers.find(request.token)
        await self.users.require(request.user_id)
        page = await self.lists.list_targets(
            Kind.RELATION,
            request.user_id,
            parse_page_request(request.cursor, request.limit, default=LIST_LIMIT),
            viewer_id=viewer_id,
        )
        cards = await self.presenter.list_user_cards(page.items, viewer_id)
        return make_reply(RelationFollowListReply, user_list=cards, next_cursor=page.next_cursor)

    async def RelationFollowerList(
        self, request: RelationFollowerListRequest, context: Context
    ) -> RelationFollowerListReply:
        viewer_id = await self.viewers.find(request.token)
        await self.users.require(request.user_id)
        page = await self.lists.list_followers(
            request.user_id,
            parse_page_request(request.cursor, request.limit, default=LIST_LIMIT),
        )
        cards = await self.presenter.list_user_cards(page.items, viewer_id)
        return make_reply(RelationFollowerListReply, user_list=cards, next_cursor=page.next_cursor)

    async def RelationFriendList(
        self, request: RelationFriendListRequest, context: Context
    ) -> RelationFriendListReply:
        viewer_id = await self.viewers.require(request.token)
        if request.user_id != viewer_id:
            raise PermissionDenied("只能查看自己的好友列表")
        page = await self.lists.list_friends(
            viewer_id, parse_page_request(request.cursor, request.limit, default=LIST_LIMIT)
        )
        cards = map(User.FromString, await self.presenter.list_user_cards(page.items, viewer_id))
        latest = await self.texts.map_latest(viewer_id, page.items)
        return RelationFriendListReply(
            user_list=[_to_friend(card, latest.get(card.id)) for card in cards],
            next_cursor=page.next_cursor,
        )


def _to_friend(card: User, latest: LatestMessage | None) -> FriendUser:
    return FriendUser(
        message=latest.text if latest else "",
        msgType=SENT if latest and latest.is_sent else RECEIVED,
        id=card.id,
        name=card.name,
        follow_count=card.follow_count,
        follower_count=card.follower_count,
        is_follow=card.is_follow,
        avatar=card.avatar,
        background_image=card.background_image,
        signature=card.signature,
        total_favorited=card.total_favorited,
        work_count=card.work_count,
        favorite_count=card.favorite_count,
    )
