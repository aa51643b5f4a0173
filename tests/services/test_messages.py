"""MessageService over real gRPC: what the app sees of chat."""

import asyncio
import socket

import grpc
import pytest
from loguru import logger
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from sqlalchemy import select, text, update

from dal.db.engine import Database
from dal.db.models import Conversation, MessageDataKey, Relation
from dal.db.models import Message as MessageModel
from dal.participants import Participants
from dal.redis.clock import VersionClock
from dal.redis.keys import chat_key
from dal.redis.pending import PendingActions
from dal.registers.model import Action, ActionType, Kind
from pkg.errors import (
    DependencyUnavailable,
    InvalidParameter,
    NotFriends,
    Unauthenticated,
    UserNotFound,
)
from protos import message_pb2_grpc
from protos.message_pb2 import MessageActionRequest, MessageChatRequest
from services.message_texts import UNREADABLE, MessageTexts
from tests.accounts import UserFactory
from tests.chat import MakePhone, Phone, make_handler, write_many
from tests.conftest import AllSettings
from tests.serving import counted_statements, refused_with, serving


async def test_a_message_is_there_when_its_reply_arrives(friends: tuple[Phone, Phone]):
    first, second = friends

    await first.send(" 在吗? 😀\n")
    await second.send("在")

    history = await first.read()
    assert [message.content for message in history] == [" 在吗? 😀\n", "在"]
    assert [message.from_user_id for message in history] == [first.user_id, second.user_id]
    assert [message.to_user_id for message in history] == [second.user_id, first.user_id]
    assert history[0].create_time < history[1].create_time
    assert await second.read() == history


async def test_opening_a_chat_again_at_once_shows_the_history_again(
    friends: tuple[Phone, Phone],
):
    first, second = friends
    await first.send("一")

    assert await second.texts() == await second.texts() == await first.texts() == ["一"]


async def test_a_poll_brings_only_what_the_other_one_sent_since(friends: tuple[Phone, Phone]):
    first, second = friends
    await first.send("一")
    [known] = await second.read()
    await second.send("自己的")
    await first.send("二")
    await first.send("三")

    fresh = await second.read(known.create_time)

    assert [message.content for message in fresh] == ["二", "三"]
    assert await second.texts(fresh[-1].create_time) == []
    assert await first.texts(known.create_time) == ["自己的"]


async def test_a_poll_brings_the_oldest_hundred_and_the_next_one_the_rest(
    settings: AllSettings, database: Database, friends: tuple[Phone, Phone]
):
    first, second = friends
    await write_many(settings, database, first, 130)

    page = await second.read(1)
    rest = await second.read(page[-1].create_time)

    assert [int(message.content) for message in page] == list(range(100))
    assert [int(message.content) for message in rest] == list(range(100, 130))
    assert [int(message.content) for message in await second.read()] == list(range(30, 130))


async def test_a_thousand_empty_polls_run_no_sql(
    friends: tuple[Phone, Phone], make_user: UserFactory, make_phone: MakePhone
):
    first, second = friends
    await first.send("唯一的一条")
    last_ms = (await second.read())[-1].create_time
    await first.read()
    nobody_wrote = make_phone(first.user_id, await make_user())
    assert await nobody_wrote.read() == []

    with counted_statements() as statements:
        for _ in range(250):
            polls = (
                first.read(last_ms),
                second.read(last_ms),
                nobody_wrote.read(),
                nobody_wrote.read(last_ms),
            )
            assert [message for poll in polls for message in await poll] == []

    assert statements == []


async def test_what_redis_forgets_costs_a_query_and_no_message(
    friends: tuple[Phone, Phone], actions_redis: Redis
):
    first, second = friends
    await first.send("一")
    [known] = await second.read()
    await first.send("二")
    await actions_redis.delete(chat_key(Participants.of(first.user_id, second.user_id)))

    assert await second.texts(known.create_time) == ["二"]
    assert await second.texts() == ["一", "二"]
    with counted_statements() as statements:
        assert await second.texts((await second.read())[-1].create_time) == []
        assert len(statements) == 1  # the history


ONLY_FRIENDS = pytest.mark.parametrize("channel", ["friends"], indirect=True)


@ONLY_FRIENDS
async def test_only_friends_may_write_and_anyone_may_read_what_there_is(
    friends: tuple[Phone, Phone],
    database: Database,
    make_user: UserFactory,
    make_phone: MakePhone,
):
    first, second = friends
    stranger = make_phone(first.user_id, await make_user())
    await first.send("朋友")
    async with database.write() as connection:
        ended = update(Relation).where(Relation.user_id == second.user_id)
        await connection.execute(ended.values(active=False))

    for phone in (first, second, stranger):
        with refused_with(NotFriends):
            await phone.send("不行")
    assert await first.texts() == await second.texts() == ["朋友"]
    assert await stranger.read() == await stranger.read(5) == []


@ONLY_FRIENDS
async def test_a_follow_that_is_still_pending_makes_friends(
    make_user: UserFactory, make_phone: MakePhone, actions_redis: Redis
):
    first_id, second_id = await make_user(), await make_user()
    store, clock = PendingActions(actions_redis, Kind.RELATION), VersionClock(actions_redis)
    phone = make_phone(first_id, second_id)

    async def act(user_id: int, other_id: int, action: ActionType) -> None:
        await store.apply_actions([Action(user_id, other_id, await clock.draw(), action)])

    await act(first_id, second_id, ActionType.DO)
    with refused_with(NotFriends):
        await phone.send("还不是朋友")
    await act(second_id, first_id, ActionType.DO)
    await phone.send("朋友")
    await act(first_id, second_id, ActionType.UNDO)
    with refused_with(NotFriends):
        await phone.send("不再是朋友")


async def test_who_follows_another_may_write_to_them_and_they_not_back(
    make_user: UserFactory, make_phone: MakePhone, actions_redis: Redis
):
    fan_id, star_id = await make_user(), await make_user()
    store, clock = PendingActions(actions_redis, Kind.RELATION), VersionClock(actions_redis)
    fan, star = make_phone(fan_id, star_id), make_phone(star_id, fan_id)
    with pytest.raises(grpc.aio.AioRpcError, match="先关注对方"):
        await fan.send("还不行")

    await store.apply_actions([Action(fan_id, star_id, await clock.draw(), ActionType.DO)])
    await fan.send("我喜欢你的视频")

    assert await star.texts() == ["我喜欢你的视频"]
    with refused_with(NotFriends):
        await star.send("谢谢")
    await store.apply_actions([Action(fan_id, star_id, await clock.draw(), ActionType.UNDO)])
    with refused_with(NotFriends):
        await fan.send("不再关注")


async def test_what_cannot_be_is_refused(friends: tuple[Phone, Phone], make_phone: MakePhone):
    first, _ = friends
    nobody, oneself = make_phone(first.user_id, 2**50), make_phone(first.user_id, first.user_id)

    for content in ("", "字" * 1001, "a\x00b", "\x1b[31mred", "end\x7f"):
        with refused_with(InvalidParameter):
            await first.send(content)
    await first.send("\ta\r\nb ")
    await first.send("🐶" * 1000)
    await first.send("e\N{COMBINING ACUTE ACCENT}" * 1000)
    with refused_with(InvalidParameter):
        await first.read(-1)
    with refused_with(InvalidParameter):
        await first.stub.MessageAction(
            MessageActionRequest(token=first.token, to_user_id=first.other_id, content="好")
        )
    for read_or_send in (nobody.read(), nobody.read(7), nobody.send("好")):
        with refused_with(UserNotFound):
            await read_or_send
    with refused_with(NotFriends):
        await oneself.send("自言自语")
    assert await oneself.read() == []
    with refused_with(Unauthenticated):
        await first.stub.MessageChat(MessageChatRequest(to_user_id=first.other_id))


async def test_texts_are_nowhere_in_clear(
    friends: tuple[Phone, Phone], database: Database, actions_redis: Redis, cache_redis: Redis
):
    lines: list[str] = []
    sink = logger.add(lines.append, level="TRACE")
    secret = "秘密的话"
    first, second = friends
    await first.send(secret)
    assert await second.texts() == [secret]
    logger.remove(sink)

    async with database.read_source() as connection:
        stored = await connection.scalars(
            select(MessageModel.content).where(MessageModel.from_user_id == first.user_id)
        )
        assert not any(secret in content for content in stored)
    state = await actions_redis.hgetall(chat_key(Participants.of(first.user_id, second.user_id)))
    assert not any(secret.encode() in part for item in state.items() for part in item)
    assert [key async for key in cache_redis.scan_iter("*chat*")] == []
    assert not any(secret in line for line in lines)


async def test_a_row_that_was_moved_is_not_shown_as_somebody_elses_words(
    friends: tuple[Phone, Phone], database: Database
):
    first, second = friends
    await first.send("我欠你一百")
    await second.send("你欠我一百")
    async with database.write() as connection:
        await connection.execute(
            text(
                "UPDATE messages a JOIN messages b ON a.from_user_id = b.to_user_id"
                " AND a.to_user_id = b.from_user_id SET a.content = b.content"
                " WHERE a.from_user_id = :id"
            ),
            {"id": first.user_id},
        )

    assert await first.texts() == [UNREADABLE, "你欠我一百"]


async def test_while_redis_is_away_reading_goes_on_and_sending_is_refused(
    settings: AllSettings, database: Database, friends: tuple[Phone, Phone]
):
    first, second = friends
    await first.send("一")
    known = (await second.read())[-1].create_time
    await first.send("二")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        down = Redis(
            host="127.0.0.1",
            port=unused.getsockname()[1],
            retry=Retry(NoBackoff(), 0),
        )
        handler = make_handler(settings, database, down)

        def add(server: grpc.aio.Server) -> None:
            message_pb2_grpc.add_MessageServiceServicer_to_server(handler, server)

        async with serving(add) as channel:
            stub = message_pb2_grpc.MessageServiceStub(channel)
            phone = Phone(stub, second.token, second.user_id, first.user_id)
            assert await phone.texts() == ["一", "二"]
            assert await phone.texts(known) == ["二"]
            with refused_with(DependencyUnavailable):
                await phone.send("三")
        await down.aclose()

    assert await second.texts() == ["一", "二"]


async def test_twenty_senders_at_once_lose_nothing(friends: tuple[Phone, Phone]):
    first, second = friends

    await asyncio.gather(*(phone.send(str(n)) for n in range(10) for phone in friends))

    history = await first.read()
    assert len(history) == 20
    times = [message.create_time for message in history]
    assert times == sorted(set(times))
    assert sorted(await second.texts(1)) == sorted(str(n) for n in range(10))


async def test_a_data_key_is_made_when_it_is_needed_first_and_used_by_everyone(
    friends: tuple[Phone, Phone], database: Database, settings: AllSettings
):
    first, _ = friends
    await first.send("一")

    async with database.read_source() as connection:
        newest = (await connection.execute(select(MessageDataKey.id))).scalars().all()
        used = (
            await connection.execute(
                select(MessageModel.data_key_id).where(MessageModel.from_user_id == first.user_id)
            )
        ).scalar_one()
        participants = await connection.execute(
            select(Conversation.last_message_id).where(
                Conversation.low_user_id == min(first.user_id, first.other_id),
                Conversation.high_user_id == max(first.user_id, first.other_id),
            )
        )
    assert used == max(newest)
    assert participants.scalar_one() is not None
    key = await MessageTexts(database, settings.crypt).get_newest_key()
    assert key.id == used
