"""RelationService over real gRPC: what the app sees of follows."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from dal.db.users import require_user
from dal.redis.changes import ChangeLog, ChangeWatch
from dal.redis.clock import VersionClock
from dal.redis.overlay import Overlay
from dal.registers.flags import ViewerFlags
from dal.registers.lists import RegisterLists
from dal.registers.model import Kind
from pkg.errors import (
    FollowSelf,
    InvalidParameter,
    PermissionDenied,
    Unauthenticated,
    UserNotFound,
)
from pkg.mq.publisher import Publisher
from pkg.token import TokenIssuer, TokenVerifier
from protos import relation_pb2_grpc
from protos.relation_pb2 import (
    RelationActionRequest,
    RelationFollowerListRequest,
    RelationFollowListRequest,
    RelationFriendListReply,
    RelationFriendListRequest,
)
from services.actions.consumer import make_consumer
from services.actions.flusher import Flusher
from services.actions.intake import ActionIntake, ExistenceCache
from services.identity import Viewers
from services.message_texts import MessageTexts
from services.presenters import Presenter
from services.relation.handler import RelationHandler
from tests.eventually import eventually
from tests.register_stores import RegisterStores, open_stores
from tests.serving import refused_with, serving


@dataclass
class Follows:
    """People with phones in front of the relation service."""

    stub: "relation_pb2_grpc.RelationServiceAsyncStub"
    issuer: TokenIssuer
    stores: RegisterStores

    async def act(self, user_id: int, to_user_id: int, action_type: int) -> None:
        await self.stub.RelationAction(
            RelationActionRequest(
                token=self.issuer.issue(user_id), to_user_id=to_user_id, action_type=action_type
            )
        )

    async def followed_by(self, user_id: int) -> list[int]:
        request = RelationFollowListRequest(user_id=user_id, token=self.issuer.issue(user_id))
        return [user.id for user in (await self.stub.RelationFollowList(request)).user_list]

    async def followers_of(self, user_id: int) -> list[int]:
        request = RelationFollowerListRequest(user_id=user_id)
        return [user.id for user in (await self.stub.RelationFollowerList(request)).user_list]

    async def friends_of(self, user_id: int, *, viewer: int) -> RelationFriendListReply:
        token = self.issuer.issue(viewer) if viewer else ""
        return await self.stub.RelationFriendList(
            RelationFriendListRequest(user_id=user_id, token=token)
        )

    async def flush(self) -> None:
        await Flusher(
            self.stores.database,
            self.stores.pending(Kind.RELATION),
            ChangeLog(self.stores.redis),
            batch_size=1000,
        ).flush()


@pytest.fixture
async def follows(settings) -> AsyncIterator[Follows]:
    async with open_stores(settings.mysql, settings.redis_actions) as stores:
        publisher = Publisher(settings.rabbitmq, [Kind.RELATION.value], name="test")
        consumer = make_consumer(settings.rabbitmq, stores.pending(Kind.RELATION), publisher)
        overlay = Overlay(stores.redis)
        watch = ChangeWatch(stores.redis)
        users = ExistenceCache(stores.database, require_user)
        handler = RelationHandler(
            intake=ActionIntake(
                Kind.RELATION,
                targets=users,
                clock=VersionClock(stores.redis),
                publisher=publisher,
            ),
            users=users,
            lists=RegisterLists(stores.database, overlay),
            presenter=Presenter(
                stores.database, ViewerFlags(stores.database, overlay, watch), watch
            ),
            texts=MessageTexts(stores.database, settings.crypt),
            viewers=Viewers(TokenVerifier(settings.token), stores.database),
        )
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(publisher.run(stop))
            tasks.create_task(consumer.run(stop))
            await publisher.wait_connected(timeout_s=30)
            async with serving(
                lambda server: relation_pb2_grpc.add_RelationServiceServicer_to_server(
                    handler, server
                )
            ) as channel:
                stub = relation_pb2_grpc.RelationServiceStub(channel)
                yield Follows(stub, TokenIssuer(settings.token), stores)
            stop.set()


async def test_a_follow_shows_in_the_own_list_and_then_in_everybodys(follows):
    one, other = await follows.stores.add_users(2)

    await follows.act(one, other, 1)

    await eventually(lambda: follows.followed_by(one))
    await follows.flush()
    assert await follows.followers_of(other) == [one]
    assert (await follows.stores.counters(other))["follower_count"] == 1


async def test_an_undone_follow_is_gone(follows):
    one, other = await follows.stores.add_users(2)
    await follows.act(one, other, 1)
    await eventually(lambda: follows.followed_by(one))

    await follows.act(one, other, 2)

    async def gone() -> bool:
        return bool(await follows.followed_by(one) == [])

    await eventually(gone)
    await follows.flush()
    assert await follows.followers_of(other) == []


async def test_friends_follow_each_other(follows):
    one, two, three = await follows.stores.add_users(3)
    for follower, followed in ((one, two), (two, one), (one, three)):
        await follows.act(follower, followed, 1)

    async def settled() -> bool:
        await follows.flush()
        return len(await follows.followed_by(one)) == 2 and await follows.followers_of(one) == [two]

    await eventually(settled)
    [friend] = (await follows.friends_of(one, viewer=one)).user_list
    assert (friend.id, friend.is_follow, friend.message, friend.msgType) == (two, True, "", 0)
    with refused_with(PermissionDenied):
        await follows.friends_of(two, viewer=one)
    with refused_with(Unauthenticated):
        await follows.friends_of(two, viewer=0)


async def test_what_the_rules_forbid_is_refused(follows):
    one, other = await follows.stores.add_users(2)
    with refused_with(FollowSelf):
        await follows.act(one, one, 1)
    with refused_with(UserNotFound):
        await follows.act(one, 2**40, 1)
    with refused_with(InvalidParameter):
        await follows.act(one, other, 4)
    with refused_with(UserNotFound):
        await follows.followers_of(2**40)
