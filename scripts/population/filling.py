"""Writes a drawn population into the database, parents first, in blocks; what a block shows is whole except for what is still to come.

All of it is older than the oldest video that is there, and belongs to itself alone: its people act on its own videos. Redis needs nothing: a
register that is not there says what the row says, and a chat of which it knows nothing is asked for in MySQL.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from random import Random
from typing import Any

from dal.db.bulk import (
    COMMENTS,
    CONVERSATIONS,
    FOLLOWS,
    LIKES,
    MESSAGES,
    USERS,
    VIDEOS,
    BulkTable,
    count_strangers,
    find_oldest_publication_ms,
    insert_block,
    list_media,
    reserve_ids,
)
from dal.db.engine import Database, MySQLSettings, open_database
from dal.participants import Participants
from dal.redis.client import RedisSettings
from pkg.clock import now_ms
from pkg.crypt import HashingSettings, Passwords
from pkg.crypt.messages import CryptSettings, DataKey, MessageIdentity
from pkg.names import make_name_keys
from pkg.settings import ProcessSettings
from scripts.operator.announcing import announce_everything
from scripts.operator.settings import STATEMENT_TIMEOUT_S, with_long_statements
from scripts.population.amounts import PASSWORD, Amounts, PopulationRefused
from scripts.population.world import Pairs, World, draw_world
from scripts.progress_bar import ProgressBar
from scripts.samples import SAMPLE_USERS
from services.message_texts import MessageTexts

NAME_PATTERN = r"seed%-%"
BLOCK_ROWS = 5_000
COMMENT_TEXTS = (
    "好看!",
    "这是在哪里拍的?",
    "哈哈哈哈 😂",
    "第一",
    "支持一下 👍",
    "学到了,谢谢分享",
)
MESSAGE_TEXTS = ("在吗?", "今晚一起吃饭吗?😀", "好的", "看到那个视频了吗", "明天见")
# Shown while the samples, whose files are borrowed, are not there; nothing is behind them.
NO_MEDIA = [("seed-video.mp4", "seed-cover.jpg")]


class PopulationSettings(ProcessSettings):
    mysql: MySQLSettings
    redis_actions: RedisSettings
    crypt: CryptSettings


@dataclass(frozen=True)
class Place:
    """Where a population lies: the first ids of its tables, and between which times all of it happened."""

    database: Database
    user_id: int
    video_id: int
    newest_ms: int
    now_ms: int

    def published_ms(self, world: World, video: int) -> int:
        """Return when a video was published."""
        return self.newest_ms - world.ages_ms[video]


async def populate(settings: PopulationSettings, amounts: Amounts) -> None:
    """Write the population of these amounts.

    Raises:
        PopulationRefused: it cannot be drawn, is there already, or would be mixed with what people wrote; nothing was written.
    """
    world = draw_world(amounts)
    async with open_database(with_long_statements(settings.mysql), patient=False) as database:
        await _check(database, amounts)
        key = await MessageTexts(database, settings.crypt).get_newest_key()
        place = await _find_place(database, amounts)
        await _write(place, USERS, _list_users(world, place, await _hash_password()), amounts.users)
        media = await _find_media(database)
        await _write(place, VIDEOS, _list_videos(world, place, media), amounts.videos)
        await _write(place, LIKES, _list_likes(world, place), amounts.likes)
        await _write(place, FOLLOWS, _list_follows(world, place), amounts.follows)
        await _write_comments(world, place)
        await _write_chats(world, place, key)
    await announce_everything(settings.redis_actions)


async def _check(database: Database, amounts: Amounts) -> None:
    samples = [user.name for user in SAMPLE_USERS]
    async with database.read_source() as connection:
        strangers = await count_strangers(connection, pattern=NAME_PATTERN, known=samples)
        others = await count_strangers(connection, pattern=f"seed{amounts.seed}-%", known=[])
        everybody = await count_strangers(connection, pattern="", known=[])
    if strangers:
        raise PopulationRefused(
            f"{strangers} accounts here are neither samples nor seeded: people's data is not mixed with made-up ones;"
            " bring up a stack for trying: DOUSHENG_PORT_BASE=9080 scripts/up --run-dir .run/try"
        )
    if others != everybody:
        raise PopulationRefused(
            f"the population of --seed {amounts.seed} is here already, whole or in part; give another --seed"
        )


async def _hash_password() -> str:
    passwords = Passwords(HashingSettings(max_waiting=1, max_waiting_per_address=1, max_wait_s=60))
    try:
        return await passwords.hash(PASSWORD, network="")
    finally:
        passwords.close()


async def _find_place(database: Database, amounts: Amounts) -> Place:
    async with database.write(timeout_s=STATEMENT_TIMEOUT_S) as connection:
        oldest_ms = await find_oldest_publication_ms(connection)
        now = now_ms()
        return Place(
            database,
            user_id=await reserve_ids(connection, USERS, amounts.users),
            video_id=await reserve_ids(connection, VIDEOS, amounts.videos),
            newest_ms=min(now, oldest_ms or now) - 1,
            now_ms=now,
        )


async def _find_media(database: Database) -> list[tuple[str, str]]:
    async with database.read_source() as connection:
        found = await list_media(connection, [user.name for user in SAMPLE_USERS])
    return found or NO_MEDIA


async def _write(
    place: Place, table: BulkTable, rows: Iterable[tuple[Any, ...]], total: int
) -> None:
    """Write rows in blocks of a transaction each."""
    if not total:
        return
    iterator = iter(rows)
    with ProgressBar(table.name, total=total) as bar:
        while block := list(islice(iterator, BLOCK_ROWS)):
            async with place.database.write(timeout_s=STATEMENT_TIMEOUT_S) as connection:
                await insert_block(connection, table, block)
            bar.move(len(block))


def _list_users(world: World, place: Place, password_hash: str) -> Iterator[tuple[Any, ...]]:
    likes, follows = world.likes, world.follows
    liking, following, followers = (
        likes.count_doers(),
        follows.count_doers(),
        follows.count_targets(),
    )
    works = Counter(world.authors)
    liked: Counter[int] = Counter()
    for video, number in likes.count_targets().items():
        liked[world.authors[video]] += number
    for user in range(world.amounts.users):
        name = f"seed{world.amounts.seed}-{user}"
        keys = make_name_keys(name)
        yield (
            place.user_id + user,
            name,
            *(key.hex() for key in (keys.look_key, keys.capital_key, keys.fold_key)),
            password_hash,
            liking[user],
            liked[user],
            following[user],
            followers[user],
            works[user],
        )


def _list_videos(
    world: World, place: Place, media: list[tuple[str, str]]
) -> Iterator[tuple[Any, ...]]:
    likes = world.likes.count_targets()
    comments = Counter(video for video, _ in world.comments)
    for video, author in enumerate(world.authors):
        yield (
            place.video_id + video,
            place.user_id + author,
            f"视频 {video + 1} 🎬",
            *media[video % len(media)],
            likes[video],
            comments[video],
            place.published_ms(world, video),
        )


def _list_likes(world: World, place: Place) -> Iterator[tuple[int, int, int]]:
    """Yield likes by user, as they lie in the table."""
    since_us = partial(_published_us, world, place)
    likes = _list_registers(world, place, "likes", pairs=world.likes, since_us=since_us)
    for user, video, version in likes:
        yield place.user_id + user, place.video_id + video, version


def _list_follows(world: World, place: Place) -> Iterator[tuple[int, int, int]]:
    oldest_us = _published_us(world, place, 0) if world.authors else 1000 * place.newest_ms
    follows = _list_registers(
        world, place, "follows", pairs=world.follows, since_us=lambda _: oldest_us
    )
    for user, target, version in follows:
        yield place.user_id + user, place.user_id + target, version


def _published_us(world: World, place: Place, video: int) -> int:
    return 1000 * place.published_ms(world, video)


def _list_registers(
    world: World, place: Place, part: str, *, pairs: Pairs, since_us: Callable[[int], int]
) -> Iterator[tuple[int, int, int]]:
    """Yield doer, target and version of pairs: versions differ, as those of the clock do, and are older than any that it will draw."""
    random = Random(f"{world.amounts.seed} times of {part}")  # noqa: S311 - drawn again for the same seed
    count = max(len(pairs), 1)
    until_us = 1000 * place.now_ms - count
    for index in range(len(pairs)):
        doer, target = pairs.get(index)
        at_us = random.randint(min(since_us(target), until_us), until_us)
        # The remainder is the pair's own.
        yield doer, target, at_us - at_us % count + index


async def _write_comments(world: World, place: Place) -> None:
    """Write comments in the order of their times, which is that of their ids."""
    random = Random(f"{world.amounts.seed} times of comments")  # noqa: S311 - drawn again for the same seed
    told = sorted(
        (random.randint(place.published_ms(world, video), place.now_ms), video, user)
        for video, user in world.comments
    )
    first_id = await _reserve(place, COMMENTS, len(told))
    rows = (
        (
            first_id + number,
            place.video_id + video,
            place.user_id + user,
            COMMENT_TEXTS[number % len(COMMENT_TEXTS)],
            at_ms,
        )
        for number, (at_ms, video, user) in enumerate(told)
    )
    await _write(place, COMMENTS, rows, len(told))


async def _write_chats(world: World, place: Place, key: DataKey) -> None:
    """Write messages a millisecond apart, the last one before the newest video, and what their conversations know of them."""
    count = len(world.conversations)
    first_id = await _reserve(place, MESSAGES, count)
    began_ms = place.newest_ms - count
    chats = [
        (place.user_id + sender, place.user_id + receiver)
        for sender, receiver in world.conversations
    ]
    last = {Participants.of(*chat): number for number, chat in enumerate(chats)}
    first_conversation = await _reserve(place, CONVERSATIONS, len(last))
    ids = {pair: first_conversation + number for number, pair in enumerate(last)}
    conversations = (
        (ids[pair], pair.low_id, pair.high_id, began_ms + number, first_id + number)
        for pair, number in last.items()
    )
    await _write(place, CONVERSATIONS, conversations, len(last))
    messages = (
        (
            first_id + number,
            ids[Participants.of(*chat)],
            *chat,
            _encrypt(key, number, MessageIdentity(*chat, began_ms + number)),
            key.id,
            began_ms + number,
        )
        for number, chat in enumerate(chats)
    )
    await _write(place, MESSAGES, messages, count)


def _encrypt(key: DataKey, number: int, identity: MessageIdentity) -> str:
    return key.encrypt(MESSAGE_TEXTS[number % len(MESSAGE_TEXTS)], identity)


async def _reserve(place: Place, table: BulkTable, count: int) -> int:
    async with place.database.write(timeout_s=STATEMENT_TIMEOUT_S) as connection:
        return await reserve_ids(connection, table, count)
