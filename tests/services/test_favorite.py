"""FavoriteService over real gRPC: what the app sees of likes."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from dal.db.users import require_user
from dal.db.videos import require_video
from dal.redis.changes import ChangeLog, ChangeWatch
from dal.redis.clock import VersionClock
from dal.redis.overlay import Overlay
from dal.registers.flags import ViewerFlags
from dal.registers.lists import RegisterLists
from dal.registers.model import Kind
from pkg.errors import (
    DependencyUnavailable,
    InvalidParameter,
    Unauthenticated,
    UserNotFound,
    VideoNotFound,
)
from pkg.mq.publisher import Publisher
from pkg.token import TokenIssuer, TokenVerifier
from protos import favorite_pb2_grpc
from protos.favorite_pb2 import FavoriteActionRequest, FavoriteListReply, FavoriteListRequest
from services.actions.consumer import make_consumer
from services.actions.flusher import Flusher
from services.actions.intake import ActionIntake, ExistenceCache
from services.favorite.handler import FavoriteHandler
from services.identity import Viewers
from services.presenters import Presenter
from tests.eventually import eventually
from tests.register_stores import RegisterStores, open_stores
from tests.serving import refused_with, serving


@dataclass
class Likes:
    """People with phones in front of the favorite service."""

    stub: "favorite_pb2_grpc.FavoriteServiceAsyncStub"
    issuer: TokenIssuer
    stores: RegisterStores

    async def act(self, user_id: int, video_id: int, action_type: int) -> None:
        await self.stub.FavoriteAction(
            FavoriteActionRequest(
                token=self.issuer.issue(user_id), video_id=video_id, action_type=action_type
            )
        )

    async def show(self, user_id: int, *, viewer: int = 0, **page: Any) -> FavoriteListReply:
        token = self.issuer.issue(viewer) if viewer else ""
        return await self.stub.FavoriteList(
            FavoriteListRequest(user_id=user_id, token=token, **page)
        )

    async def liked_by(self, user_id: int) -> list[int]:
        return [video.id for video in (await self.show(user_id, viewer=user_id)).video_list]

    async def flush(self) -> None:
        await Flusher(
            self.stores.database,
            self.stores.pending(Kind.FAVORITE),
            ChangeLog(self.stores.redis),
            batch_size=1000,
        ).flush()


@pytest.fixture
async def likes(settings) -> AsyncIterator[Likes]:
    async with open_stores(settings.mysql, settings.redis_actions) as stores:
        publisher = Publisher(settings.rabbitmq, [Kind.FAVORITE.value], name="test")
        consumer = make_consumer(settings.rabbitmq, stores.pending(Kind.FAVORITE), publisher)
        overlay = Overlay(stores.redis)
        watch = ChangeWatch(stores.redis)
        handler = FavoriteHandler(
            intake=ActionIntake(
                Kind.FAVORITE,
                targets=ExistenceCache(stores.database, require_video),
                clock=VersionClock(stores.redis),
                publisher=publisher,
            ),
            users=ExistenceCache(stores.database, require_user),
            lists=RegisterLists(stores.database, overlay),
            presenter=Presenter(
                stores.database, ViewerFlags(stores.database, overlay, watch), watch
            ),
            viewers=Viewers(TokenVerifier(settings.token), stores.database),
        )
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(publisher.run(stop))
            tasks.create_task(consumer.run(stop))
            await publisher.wait_connected(timeout_s=30)
            async with serving(
                lambda server: favorite_pb2_grpc.add_FavoriteServiceServicer_to_server(
                    handler, server
                )
            ) as channel:
                stub = favorite_pb2_grpc.FavoriteServiceStub(channel)
                yield Likes(stub, TokenIssuer(settings.token), stores)
            stop.set()


async def test_a_like_shows_in_the_own_list_and_then_in_everybodys(likes):
    author, fan = await likes.stores.add_users(2)
    [video] = await likes.stores.add_videos(author, 1)

    await likes.act(fan, video, 1)

    await eventually(lambda: likes.liked_by(fan))
    [card] = (await likes.show(fan, viewer=fan)).video_list
    assert card.is_favorite
    await likes.flush()
    [card] = (await likes.show(fan, viewer=author)).video_list
    assert (card.id, card.favorite_count, card.is_favorite) == (video, 1, False)
    assert card.author.total_favorited == 1


async def test_the_newest_action_comes_first_and_pages_follow_each_other(likes):
    author, fan = await likes.stores.add_users(2)
    videos = await likes.stores.add_videos(author, 5)
    for video in videos:
        await likes.act(fan, video, 1)

    async def all_listed() -> bool:
        return bool(await likes.liked_by(fan) == videos[::-1])

    await eventually(all_listed)
    first = await likes.show(fan, viewer=fan, limit=3)
    rest = await likes.show(fan, viewer=fan, limit=3, cursor=first.next_cursor)
    assert [v.id for v in [*first.video_list, *rest.video_list]] == videos[::-1]
    assert rest.next_cursor == ""


async def test_liking_twice_and_unliking_what_is_not_liked_are_no_errors(likes):
    author, fan = await likes.stores.add_users(2)
    one, other = await likes.stores.add_videos(author, 2)
    for _ in range(2):
        await likes.act(fan, one, 1)
        await likes.act(fan, other, 2)

    await eventually(lambda: likes.liked_by(fan))
    await likes.flush()
    assert await likes.stores.favorite_count(one) == 1
    assert await likes.stores.favorite_count(other) == 0


async def test_what_the_rules_forbid_is_refused(likes):
    author, fan = await likes.stores.add_users(2)
    [video] = await likes.stores.add_videos(author, 1)
    with refused_with(VideoNotFound):
        await likes.act(fan, 2**40, 1)
    for action_type in (0, 3, -1):
        with refused_with(InvalidParameter):
            await likes.act(fan, video, action_type)
    with refused_with(Unauthenticated):
        await likes.stub.FavoriteAction(FavoriteActionRequest(video_id=video, action_type=1))
    with refused_with(UserNotFound):
        await likes.show(2**40)
    with refused_with(InvalidParameter):
        await likes.show(fan, limit=101)
    with refused_with(InvalidParameter):
        await likes.show(fan, cursor="junk")


async def test_while_redis_is_away_likes_are_refused_and_lists_go_on(likes, servers):
    author, fan = await likes.stores.add_users(2)
    [video] = await likes.stores.add_videos(author, 1)
    await likes.act(fan, video, 1)
    await eventually(lambda: likes.liked_by(fan))
    await likes.flush()
    await asyncio.to_thread(servers.stop, "redis-actions")
    try:
        with refused_with(DependencyUnavailable):
            await likes.act(fan, video, 2)
        assert await likes.liked_by(fan) == [video]
    finally:
        await asyncio.to_thread(servers.start, "redis-actions")
