"""Rows to the protobuf cards of users and videos, in batches: the one place where a card is put together."""

from collections.abc import Collection, Sequence

from dal.db.engine import Database
from dal.db.models import DEFAULT_AVATAR, DEFAULT_BACKGROUND
from dal.db.users import UserRow, list_users
from dal.db.videos import VideoRow, list_videos
from dal.registers.flags import ViewerFlags
from pkg.batching import Batcher
from pkg.errors import UserNotFound
from pkg.storage import object_path
from protos.user_pb2 import User
from protos.video_pb2 import Video
from services.buckets import (
    USER_AVATARS_BUCKET,
    USER_BACKGROUNDS_BUCKET,
    VIDEO_COVERS_BUCKET,
    VIDEOS_BUCKET,
)

# Shown as the author of videos and comments that outlived their author's account.
DELETED_USER_NAME = "已注销用户"


class Presenter:
    """Builds cards as one viewer sees them; a fixed number of statements for any number of cards."""

    def __init__(self, database: Database, flags: ViewerFlags) -> None:
        self._database = database
        self._flags = flags
        self._users = Batcher(self._load_users)

    async def get_user_card(self, user_id: int, viewer_id: int | None) -> User:
        """Return the card of one user.

        Raises:
            UserNotFound: nobody has this id.
        """
        cards = await self.map_user_cards([user_id], viewer_id)
        if user_id not in cards:
            raise UserNotFound
        return cards[user_id]

    async def list_user_cards(self, user_ids: Sequence[int], viewer_id: int | None) -> list[User]:
        """Return the cards of the users that exist, in the order of `user_ids`."""
        cards = await self.map_user_cards(user_ids, viewer_id)
        return [cards[user_id] for user_id in user_ids if user_id in cards]

    async def map_user_cards(
        self, user_ids: Collection[int], viewer_id: int | None
    ) -> dict[int, User]:
        """Return the cards of the users that exist, by id."""
        wanted = set(user_ids)
        rows = await self._users.get(wanted)
        followed = await self._flags.list_followed(viewer_id, wanted)
        return {
            user_id: _to_user(rows[user_id], is_follow=user_id in followed)
            for user_id in wanted
            if user_id in rows
        }

    async def list_video_cards(
        self, rows: Sequence[VideoRow], viewer_id: int | None
    ) -> list[Video]:
        """Return the cards of the videos in the order of `rows`."""
        author_ids = {row.author_id for row in rows}
        users = await self._users.get(author_ids)
        flags = await self._flags.read(
            viewer_id, user_ids=author_ids, video_ids=[row.id for row in rows]
        )
        authors = {
            author_id: _to_user(users[author_id], is_follow=author_id in flags.followed)
            if author_id in users
            else deleted_user(author_id)
            for author_id in author_ids
        }
        return [
            _to_video(row, author=authors[row.author_id], is_favorite=row.id in flags.favorited)
            for row in rows
        ]

    async def list_video_cards_by_id(
        self, video_ids: Sequence[int], viewer_id: int | None
    ) -> list[Video]:
        """Return the cards of the videos that are published, in the order of `video_ids`."""
        rows = {row.id: row for row in await self._list_videos(video_ids)}
        ordered = [rows[video_id] for video_id in video_ids if video_id in rows]
        return await self.list_video_cards(ordered, viewer_id)

    async def _load_users(self, user_ids: set[int]) -> dict[int, UserRow]:
        async with self._database.read() as connection:
            rows = await list_users(connection, list(user_ids))
        missing = user_ids - {row.id for row in rows}
        if missing and self._database.has_replicas:
            # A replica may not know yet who registered a moment ago.
            async with self._database.read_source() as connection:
                rows += await list_users(connection, list(missing))
        return {row.id: row for row in rows}

    async def _list_videos(self, video_ids: Sequence[int]) -> list[VideoRow]:
        if not video_ids:
            return []
        async with self._database.read() as connection:
            rows = await list_videos(connection, video_ids)
        missing = set(video_ids) - {row.id for row in rows}
        if missing and self._database.has_replicas:
            async with self._database.read_source() as connection:
                rows += await list_videos(connection, list(missing))
        return rows


def deleted_user(user_id: int) -> User:
    """Return the card that stands for a deleted account."""
    return User(
        id=user_id,
        name=DELETED_USER_NAME,
        avatar=object_path(USER_AVATARS_BUCKET, DEFAULT_AVATAR),
        background_image=object_path(USER_BACKGROUNDS_BUCKET, DEFAULT_BACKGROUND),
    )


def _to_user(row: UserRow, *, is_follow: bool) -> User:
    return User(
        id=row.id,
        name=row.name,
        follow_count=row.following_count,
        follower_count=row.follower_count,
        is_follow=is_follow,
        avatar=object_path(USER_AVATARS_BUCKET, row.avatar),
        background_image=object_path(USER_BACKGROUNDS_BUCKET, row.background_image),
        signature=row.signature,
        total_favorited=row.total_favorited,
        work_count=row.work_count,
        favorite_count=row.favorite_count,
    )


def _to_video(row: VideoRow, *, author: User, is_favorite: bool) -> Video:
    return Video(
        id=row.id,
        author=author,
        play_url=object_path(VIDEOS_BUCKET, row.play_key),
        cover_url=object_path(VIDEO_COVERS_BUCKET, row.cover_key),
        favorite_count=row.favorite_count,
        comment_count=row.comment_count,
        is_favorite=is_favorite,
        title=row.title,
        share_count=row.share_count,
        create_time=row.published_at_ms,
    )
