"""Rows to the cards of users and videos, in batches: the one place where a card is put together.

With a watch (dal/redis/changes.py) cards are kept in memory until somebody announces that what they show has changed, and for
`CARDS_KEPT_S` at most. See "Decisions" in services/README.md.
"""

from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache

from dal.db.engine import Database
from dal.db.models import DEFAULT_AVATAR, DEFAULT_BACKGROUND
from dal.db.users import UserRow, list_users
from dal.db.videos import VideoRow, list_videos
from dal.redis.changes import ChangeWatch, Subject
from dal.registers.flags import ViewerFlags
from pkg.errors import UserNotFound
from pkg.kept import Kept
from pkg.storage import object_path
from protos.user_pb2 import User
from protos.video_pb2 import Video
from services.buckets import (
    USER_AVATARS_BUCKET,
    USER_BACKGROUNDS_BUCKET,
    VIDEO_COVERS_BUCKET,
    VIDEOS_BUCKET,
)
from services.cards import OwnedCard, UserCard

# Shown as the author of videos and comments that outlived their author's account.
DELETED_USER_NAME = "已注销用户"
# What changes without an announcement (such as a row that a person changes by hand) shows after this time.
CARDS_KEPT_S = 30.0
MOST_USERS = 20_000
MOST_VIDEOS = 20_000
# Made cards that may be needed again. A row that changes makes another one, so that most of the older ones never are.
MOST_MADE_USERS = 20_000
MOST_MADE_VIDEOS = 8_000


class Presenter:
    """Builds cards as one viewer sees them, as they travel; a fixed number of statements for any number of cards."""

    def __init__(
        self, database: Database, flags: ViewerFlags, watch: ChangeWatch | None = None
    ) -> None:
        self._database = database
        # What is kept must hold everything that was announced before, which a replica may not have yet.
        self._read_rows = database.read_source if watch else database.read
        self._flags = flags
        self._watch = watch
        lifetime_s = CARDS_KEPT_S if watch else 0
        self._users: Kept[int, UserCard] = Kept(
            self._load_users, lifetime_s=lifetime_s, most=MOST_USERS, keeps_absence=True
        )
        self._videos: Kept[int, OwnedCard] = Kept(
            self._load_videos, lifetime_s=lifetime_s, most=MOST_VIDEOS
        )
        if watch is not None:
            for subject, kept in ((Subject.USER, self._users), (Subject.VIDEO, self._videos)):
                watch.tell(subject, kept.forget, forget_all=kept.forget_all)

    async def look(self) -> None:
        """Forget what has changed before this call."""
        if self._watch is not None:
            await self._watch.look()

    async def get_user_card(self, user_id: int, viewer_id: int | None) -> bytes:
        """Return the card of one user.

        Raises:
            UserNotFound: nobody has this id.
        """
        cards = await self.list_user_cards([user_id], viewer_id)
        if not cards:
            raise UserNotFound
        return cards[0]

    async def list_user_cards(self, user_ids: Sequence[int], viewer_id: int | None) -> list[bytes]:
        """Return the cards of the users that exist, in the order of `user_ids`."""
        await self.look()
        users = await self._users.get(user_ids)
        followed = (await self._flags.read(viewer_id, user_ids=user_ids)).followed
        return [
            users[user_id].as_seen(is_follow=user_id in followed)
            for user_id in user_ids
            if user_id in users
        ]

    async def map_owners(
        self, owner_ids: Collection[int], viewer_id: int | None
    ) -> dict[int, bytes]:
        """Return the cards of those who wrote something, by id; whose account is gone has the card of a deleted user.

        The caller has let this presenter look.
        """
        users = await self._users.get(owner_ids)
        followed = (await self._flags.read(viewer_id, user_ids=owner_ids)).followed
        return _to_owners(owner_ids, users, followed)

    async def list_video_cards(
        self, video_ids: Sequence[int], viewer_id: int | None
    ) -> list[bytes]:
        """Return the cards of the videos that are published, in the order of `video_ids`.

        The caller has let this presenter look.
        """
        found = await self._videos.get(video_ids)
        videos = [found[video_id] for video_id in video_ids if video_id in found]
        owner_ids = {video.owner_id for video in videos}
        users = await self._users.get(owner_ids)
        flags = await self._flags.read(viewer_id, user_ids=owner_ids, video_ids=video_ids)
        owners = _to_owners(owner_ids, users, flags.followed)
        favorited = flags.favorited
        return [
            video.as_seen(owners[video.owner_id], is_favorite=video.id in favorited)
            for video in videos
        ]

    async def _load_users(self, user_ids: set[int]) -> dict[int, UserCard]:
        return {row.id: _to_user_card(row) for row in await self._list_users(user_ids)}

    async def _list_users(self, user_ids: set[int]) -> list[UserRow]:
        async with self._read_rows() as connection:
            rows = await list_users(connection, list(user_ids))
        missing = user_ids - {row.id for row in rows}
        if missing and self._database.has_replicas:
            # A replica may not know yet who registered a moment ago.
            async with self._database.read_source() as connection:
                rows += await list_users(connection, list(missing))
        return rows

    async def _load_videos(self, video_ids: set[int]) -> dict[int, OwnedCard]:
        return {row.id: _to_video_card(row) for row in await self._list_videos(video_ids)}

    async def _list_videos(self, video_ids: set[int]) -> list[VideoRow]:
        async with self._read_rows() as connection:
            rows = await list_videos(connection, list(video_ids))
        missing = video_ids - {row.id for row in rows}
        if missing and self._database.has_replicas:
            async with self._database.read_source() as connection:
                rows += await list_videos(connection, list(missing))
        return rows


def _to_owners(
    owner_ids: Collection[int], users: Mapping[int, UserCard], followed: AbstractSet[int]
) -> dict[int, bytes]:
    return {
        owner_id: users[owner_id].as_seen(is_follow=owner_id in followed)
        if owner_id in users
        else _deleted_user(owner_id)
        for owner_id in owner_ids
    }


def _deleted_user(user_id: int) -> bytes:
    card = User(
        id=user_id,
        name=DELETED_USER_NAME,
        avatar=object_path(USER_AVATARS_BUCKET, DEFAULT_AVATAR),
        background_image=object_path(USER_BACKGROUNDS_BUCKET, DEFAULT_BACKGROUND),
    )
    return card.SerializeToString()


# A card shows its row and nothing else: a row that is read again and has not changed has its card already, with all ways to see it.
@lru_cache(MOST_MADE_USERS)
def _to_user_card(row: UserRow) -> UserCard:
    user = User(
        id=row.id,
        name=row.name,
        follow_count=row.following_count,
        follower_count=row.follower_count,
        avatar=object_path(USER_AVATARS_BUCKET, row.avatar),
        background_image=object_path(USER_BACKGROUNDS_BUCKET, row.background_image),
        signature=row.signature,
        total_favorited=row.total_favorited,
        work_count=row.work_count,
        favorite_count=row.favorite_count,
    )
    return UserCard(user)


@lru_cache(MOST_MADE_VIDEOS)
def _to_video_card(row: VideoRow) -> OwnedCard:
    video = Video(
        id=row.id,
        play_url=object_path(VIDEOS_BUCKET, row.play_key),
        cover_url=object_path(VIDEO_COVERS_BUCKET, row.cover_key),
        favorite_count=row.favorite_count,
        comment_count=row.comment_count,
        title=row.title,
        share_count=row.share_count,
        create_time=row.published_at_ms,
    )
    return OwnedCard(video, user_field="author", owner_id=row.author_id)
