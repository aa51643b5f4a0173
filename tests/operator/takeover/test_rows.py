"""What becomes of each kind of dirt in a database of the original."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select, text

from dal.db.counters import list_differences
from dal.db.engine import Database
from dal.db.models import (
    Comment,
    Conversation,
    FavoriteComment,
    FavoriteVideo,
    Message,
    PublicationClock,
    Relation,
    User,
    Video,
)
from pkg.names import make_name_keys
from scripts.operator.takeover.findings import Kind
from tests.operator.takeover.conftest import Taken
from tests.operator.takeover.dirt import (
    ALICE,
    BOB,
    CHINESE,
    DELETED,
    FUTURE,
    HIDDEN,
    LONG,
    LOOKALIKE,
    NO_COVER,
    NO_MD5,
    NO_MP4,
    NOON_MS,
    ODD_TIME,
    PLAIN,
    REAL_PNG,
    SAME_TIME,
    SPACES,
    TWIN,
    UPPER,
    key,
)


async def read(database: Database, *columns: Any) -> Sequence[Any]:
    async with database.read_source() as connection:
        return [tuple(row) for row in await connection.execute(select(*columns).order_by(*columns))]


async def test_accounts_keep_their_ids_and_names(result: Database):
    names = dict(await read(result, User.id, User.user_name))

    assert names == {
        ALICE: "alice",
        BOB: "bob",
        DELETED: "carol",
        LOOKALIKE: "аlice",
        SPACES: "éve",
        LONG: "x" * 30 + "_6",
        NO_MD5: "dora",
        UPPER: "frank",
        TWIN: "bob_9",
        HIDDEN: "ab\u200bc",
    }


async def test_the_look_of_a_name_belongs_to_the_oldest_account(result: Database):
    keys = {row[0]: row[1] for row in await read(result, User.id, User.name_look_key)}

    assert keys[ALICE] == make_name_keys("alice").look_key
    assert keys[LOOKALIKE] is None


async def test_what_is_deleted_stays_deleted(result: Database):
    deleted = [row[0] for row in await read(result, User.id, User.deleted_at) if row[1]]
    comments = [row[0] for row in await read(result, Comment.id, Comment.deleted_at) if row[1]]

    assert deleted == [DELETED]
    assert comments == [2]


async def test_no_bare_hash_and_no_plain_password_is_left(result: Database):
    stored = dict(await read(result, User.id, User.password))

    assert stored.pop(NO_MD5) == ""
    assert all(password.startswith("md5:$argon2id$") for password in stored.values())


async def test_times_are_utc_and_none_is_in_the_future(result: Database, taken: Taken):
    began = {row[0]: row[1] for row in await read(result, User.id, User.created_at)}
    published = dict(await read(result, Video.id, Video.published_at_ms))

    assert began[ALICE].isoformat() == "2023-06-01T04:00:00"
    assert began[UPPER].year == 1970
    assert published[PLAIN] == NOON_MS + 60_000
    assert published[NO_COVER] == NOON_MS + 4 * 60_000
    assert published[SAME_TIME] == published[NO_COVER] + 1
    assert published[ODD_TIME] == 1
    assert NOON_MS < published[FUTURE] < NOON_MS * 1.2
    async with result.read_source() as connection:
        assert await connection.scalar(select(PublicationClock.last_ms)) == published[FUTURE]


async def test_videos_that_nobody_could_see_or_remove_are_left_out(result: Database):
    rows = {row[0]: row[1:] for row in await read(result, Video.id, Video.title, Video.status)}

    assert set(rows) == {*(PLAIN, CHINESE, REAL_PNG, NO_COVER, SAME_TIME, ODD_TIME, NO_MP4, FUTURE)}
    assert rows[ODD_TIME] == ("oddtime", "published")
    assert rows[CHINESE] == ("你好 世界?", "published")


async def test_files_keep_their_keys_where_they_can_be_served_under_them(result: Database):
    keys = {
        row[0]: row[1:] for row in await read(result, Video.id, Video.play_url, Video.cover_url)
    }

    assert keys[PLAIN] == (key("plain", 1), key("plain", 1, ".png"))
    assert keys[REAL_PNG][0] == key("real", 3)
    assert keys[REAL_PNG][1].endswith(".png")
    assert len(keys[REAL_PNG][1]) == len(keys[CHINESE][0]) == 44
    assert keys[CHINESE][0].endswith(".mp4")
    assert keys[CHINESE][1].endswith(".jpg")
    assert keys[NO_COVER][1] == "default_background.jpg"


async def test_pictures_without_a_file_are_the_default(result: Database):
    rows = await read(result, User.id, User.avatar, User.background_image, User.signature)
    pictures = {row[0]: row[1:] for row in rows}

    assert pictures[BOB] == ("default_avatar.png", "default_background.jpg", "hi[31m")
    # A JPEG that was called a PNG.
    assert pictures[ALICE][0].endswith(".jpg")
    assert len(pictures[ALICE][0]) == 44


async def test_comments_on_what_is_gone_and_by_who_is_gone_are_left_out(result: Database):
    comments = dict(await read(result, Comment.id, Comment.content))

    assert comments == {1: "好", 2: "好", 3: "ab\nc", 6: "好"}
    assert await read(result, FavoriteComment.user_id, FavoriteComment.comment_id) == [(ALICE, 1)]


async def test_a_like_is_there_once_and_of_something(result: Database):
    likes = await read(
        result, FavoriteVideo.user_id, FavoriteVideo.video_id, FavoriteVideo.acted_at_us
    )

    published = dict(await read(result, Video.id, Video.published_at_ms))
    assert likes == [
        (user, video, published[video] * 1000)
        for user, video in [(ALICE, PLAIN), (BOB, PLAIN), (BOB, CHINESE), (DELETED, PLAIN)]
    ]


async def test_a_follow_is_there_once_and_the_newest_counts(result: Database):
    follows = {
        row[:2]: row[2]
        for row in await read(result, Relation.user_id, Relation.to_user_id, Relation.acted_at_us)
    }

    minute_us = 60_000_000
    assert follows == {
        (ALICE, BOB): NOON_MS * 1000 + 3 * minute_us,
        # Of the same millisecond, but a list in pages needs an order.
        (ALICE, SPACES): NOON_MS * 1000 + minute_us,
        (ALICE, UPPER): NOON_MS * 1000 + minute_us + 1,
        (BOB, ALICE): 1,
    }


async def test_a_conversation_has_its_messages_at_times_of_their_own(result: Database):
    rows = await read(
        result, Message.conversation_id, Message.created_at_ms, Message.id, Message.data_key_id
    )

    assert rows == [
        (1, NOON_MS + 30_000, 3, 1),
        (1, NOON_MS + 60_000, 1, 1),
        (1, NOON_MS + 60_001, 2, 1),
        (1, NOON_MS + 120_000, 4, 0),
        (1, NOON_MS + 540_000, 8, 1),
        (2, NOON_MS + 60_000, 7, 1),
    ]
    assert await read(
        result, Conversation.id, Conversation.last_time_ms, Conversation.last_message_id
    ) == [
        (1, NOON_MS + 540_000, 4),
        (2, NOON_MS + 60_000, 7),
    ]


async def test_every_counter_is_what_its_rows_say(result: Database):
    assert await list_differences(result) == []
    async with result.read_source() as connection:
        likes = await connection.scalar(select(User.total_favorited).where(User.id == ALICE))
    assert likes == 4


async def test_ids_of_what_was_left_out_are_not_given_again(result: Database):
    async with result.write() as connection:
        made = await connection.execute(
            text(
                "INSERT INTO videos (author_id, title, upload_key, play_url, cover_url, status, created_at_ms)"
                " VALUES (1, '', '', '', '', 'uploading', 0)"
            )
        )
        assert made.lastrowid > 22
        await connection.rollback()


async def test_a_dry_run_says_what_the_run_then_did(taken: Taken):
    assert taken.dry_report[:-1] == taken.report[:-1]
    assert taken.dry_report[-1] == "dry run: nothing was written"
    assert taken.report[-1] == "done: start the services"


async def test_the_report_counts_every_kind(taken: Taken):
    numbers = {line[14:]: int(line[:12]) for line in taken.report if line[:12].strip().isdigit()}

    # Found only where nobody looks at the files.
    assert {kind.label for kind in Kind} - set(numbers) == {Kind.FILE_NOT_SERVED.label}
    several = {label: number for label, number in numbers.items() if number > 1}
    assert several == {
        Kind.TIME_UNKNOWN.label: 3,
        Kind.TEXT_CLEANED.label: 3,
        Kind.COUNTER_WRONG.label: 15,
        Kind.NAME_REPLACED.label: 2,
        Kind.FILE_COPIED.label: 4,
        Kind.COMMENT_LIKE_WITHOUT_TARGET.label: 3,
        Kind.LIKE_WITHOUT_VIDEO.label: 2,
        Kind.FOLLOW_WITHOUT_USER.label: 2,
        Kind.FOLLOW_UNDONE.label: 2,
    }


async def test_the_database_has_as_many_rows_as_the_report_says(taken: Taken, result: Database):
    said = {line[:16].strip(): line.split()[-2] for line in taken.report[1:8]}
    models = {"accounts": User, "videos": Video, "comments": Comment, "likes": FavoriteVideo}
    models |= {"comment likes": FavoriteComment, "follows": Relation, "messages": Message}

    async with result.read_source() as connection:
        counted = {
            name: str(await connection.scalar(select(func.count()).select_from(model)))
            for name, model in models.items()
        }

    assert said == counted
