"""The schema of `db_tiktok`. Queries select columns; no row is ever loaded as an object.

There are no foreign keys, and counters are signed: see dal/README.md.
"""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, Boolean, Index, Integer, String, Text, UniqueConstraint, text
from sqlalchemy.dialects.mysql import BIGINT, BINARY, DATETIME
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

UnsignedId = BIGINT(unsigned=True)
# The general collations take one emoji for another and ignore case and accents.
EXACT = "utf8mb4_bin"
TABLE_OPTIONS = {"mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_unicode_ci"}
NOW = text("CURRENT_TIMESTAMP(3)")

NAME_KEY_BYTES = 32
DEFAULT_AVATAR = "default_avatar.png"
DEFAULT_BACKGROUND = "default_background.jpg"


class VideoStatus(StrEnum):
    """Where an upload is on its way; only a published video is visible."""

    UPLOADING = "uploading"
    PROCESSING = "processing"
    PUBLISHED = "published"
    FAILED = "failed"


class Base(DeclarativeBase):
    """Holds the metadata of every table."""


def _id() -> Mapped[int]:
    return mapped_column(UnsignedId, primary_key=True, autoincrement=True)


def _counter() -> Mapped[int]:
    return mapped_column(BigInteger, nullable=False, server_default=text("0"))


def _created_at() -> Mapped[datetime]:
    return mapped_column(DATETIME(fsp=3), nullable=False, server_default=NOW)


def _updated_at() -> Mapped[datetime]:
    return mapped_column(
        DATETIME(fsp=3),
        nullable=False,
        server_default=text("CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3)"),
    )


def _deleted_at() -> Mapped[datetime | None]:
    return mapped_column(DATETIME(fsp=3), nullable=True)


class User(Base):
    """An account."""

    __tablename__ = "users"
    __table_args__ = (
        UniqueConstraint("user_name", name="uq_users_user_name"),
        UniqueConstraint("name_look_key", name="uq_users_name_look_key"),
        UniqueConstraint("name_capital_key", name="uq_users_name_capital_key"),
        UniqueConstraint("name_fold_key", name="uq_users_name_fold_key"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = _id()
    user_name: Mapped[str] = mapped_column(String(40, collation=EXACT), nullable=False)
    # NULL where an older account already had the key when the keys came; see pkg/names.py.
    name_look_key: Mapped[bytes | None] = mapped_column(BINARY(NAME_KEY_BYTES), nullable=True)
    name_capital_key: Mapped[bytes | None] = mapped_column(BINARY(NAME_KEY_BYTES), nullable=True)
    name_fold_key: Mapped[bytes | None] = mapped_column(BINARY(NAME_KEY_BYTES), nullable=True)
    password: Mapped[str] = mapped_column(String(256), nullable=False)
    following_count: Mapped[int] = _counter()
    follower_count: Mapped[int] = _counter()
    avatar: Mapped[str] = mapped_column(String(255), nullable=False, server_default=DEFAULT_AVATAR)
    background_image: Mapped[str] = mapped_column(
        String(255), nullable=False, server_default=DEFAULT_BACKGROUND
    )
    work_count: Mapped[int] = _counter()
    favorite_count: Mapped[int] = _counter()
    total_favorited: Mapped[int] = _counter()
    signature: Mapped[str] = mapped_column(String(255), nullable=False, server_default="")
    created_at: Mapped[datetime] = _created_at()
    updated_at: Mapped[datetime] = _updated_at()
    deleted_at: Mapped[datetime | None] = _deleted_at()
    suspended_at: Mapped[datetime | None] = mapped_column(DATETIME(fsp=3), nullable=True)


class Video(Base):
    """An upload and, once published, a video: the row is the job."""

    __tablename__ = "videos"
    __table_args__ = (
        # The feed's order: NULL until published, different for every video.
        UniqueConstraint("published_at_ms", name="uq_videos_published_at_ms"),
        Index("ix_videos_author_published", "author_id", "published_at_ms"),
        Index("ix_videos_author_id", "author_id", "id"),
        Index("ix_videos_claim", "status", "is_heavy", "lease_expires_at_ms"),
        # Who used how much lately; the index alone answers it.
        Index("ix_videos_started", "is_heavy", "started_at_ms", "author_id", "cost_s"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = _id()
    author_id: Mapped[int] = mapped_column(UnsignedId, nullable=False)
    title: Mapped[str] = mapped_column(String(50), nullable=False)
    upload_key: Mapped[str] = mapped_column(String(255), nullable=False)
    play_url: Mapped[str] = mapped_column(String(255), nullable=False)  # object key
    cover_url: Mapped[str] = mapped_column(String(255), nullable=False)  # object key
    favorite_count: Mapped[int] = _counter()
    comment_count: Mapped[int] = _counter()
    share_count: Mapped[int] = _counter()
    status: Mapped[str] = mapped_column(String(16), nullable=False)
    failure_reason: Mapped[str] = mapped_column(String(255), nullable=False, server_default="")
    attempts: Mapped[int] = mapped_column(Integer, nullable=False, server_default=text("0"))
    # Its pictures must be encoded again; how many seconds that takes; how far it is.
    is_heavy: Mapped[bool] = mapped_column(Boolean, nullable=False, server_default=text("0"))
    cost_s: Mapped[int] = mapped_column(Integer, nullable=False, server_default=text("0"))
    progress_percent: Mapped[int] = mapped_column(Integer, nullable=False, server_default=text("0"))
    started_at_ms: Mapped[int] = mapped_column(  # in its lane, the last time
        BigInteger, nullable=False, server_default=text("0")
    )
    # Who works on it, and until when, on the database's clock; nobody: "" and 0.
    lease_token: Mapped[str] = mapped_column(String(32), nullable=False, server_default="")
    lease_expires_at_ms: Mapped[int] = mapped_column(
        BigInteger, nullable=False, server_default=text("0")
    )
    published_at_ms: Mapped[int | None] = mapped_column(BigInteger, nullable=True)
    created_at_ms: Mapped[int] = mapped_column(BigInteger, nullable=False)
    created_at: Mapped[datetime] = _created_at()
    updated_at: Mapped[datetime] = _updated_at()
    deleted_at: Mapped[datetime | None] = _deleted_at()


class PublicationClock(Base):
    """One row; publishing locks it, so that commit order is feed order."""

    __tablename__ = "publication_clock"
    __table_args__ = (TABLE_OPTIONS,)

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    last_ms: Mapped[int] = mapped_column(BigInteger, nullable=False)


class Comment(Base):
    """A comment on a video; deleted ones keep their row."""

    __tablename__ = "comments"
    __table_args__ = (
        Index("ix_comments_video", "video_id", "deleted_at", "id"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = _id()
    content: Mapped[str] = mapped_column(String(255), nullable=False)
    video_id: Mapped[int] = mapped_column(UnsignedId, nullable=False)
    user_id: Mapped[int] = mapped_column(UnsignedId, nullable=False)
    like_count: Mapped[int] = _counter()
    tease_count: Mapped[int] = _counter()
    created_at: Mapped[datetime] = _created_at()
    updated_at: Mapped[datetime] = _updated_at()
    deleted_at: Mapped[datetime | None] = _deleted_at()


class Relation(Base):
    """A register: what `user_id` last did to `to_user_id`; never deleted."""

    __tablename__ = "relations"
    __table_args__ = (
        UniqueConstraint("user_id", "to_user_id", name="uq_relations_pair"),
        Index("ix_relations_following", "user_id", "active", "acted_at_us"),
        Index("ix_relations_followers", "to_user_id", "active", "acted_at_us"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = _id()
    user_id: Mapped[int] = mapped_column(UnsignedId, nullable=False)
    to_user_id: Mapped[int] = mapped_column(UnsignedId, nullable=False)
    active: Mapped[bool] = mapped_column(Boolean, nullable=False)
    acted_at_us: Mapped[int] = mapped_column(BigInteger, nullable=False)  # the version
    created_at: Mapped[datetime] = _created_at()
    updated_at: Mapped[datetime] = _updated_at()


class FavoriteVideo(Base):
    """A register: what `user_id` last did to `video_id`; never deleted."""

    __tablename__ = "user_favorite_videos"
    __table_args__ = (
        Index("ix_favorite_videos_list", "user_id", "active", "acted_at_us"),
        Index("ix_favorite_videos_video", "video_id", "active"),
        TABLE_OPTIONS,
    )

    user_id: Mapped[int] = mapped_column(UnsignedId, primary_key=True, autoincrement=False)
    video_id: Mapped[int] = mapped_column(UnsignedId, primary_key=True, autoincrement=False)
    active: Mapped[bool] = mapped_column(Boolean, nullable=False)
    acted_at_us: Mapped[int] = mapped_column(BigInteger, nullable=False)  # the version
    created_at: Mapped[datetime] = _created_at()
    updated_at: Mapped[datetime] = _updated_at()


class FavoriteComment(Base):
    """A like of a comment; undoing it deletes the row."""

    __tablename__ = "user_favorite_comments"
    __table_args__ = (Index("ix_favorite_comments_comment", "comment_id"), TABLE_OPTIONS)

    user_id: Mapped[int] = mapped_column(UnsignedId, primary_key=True, autoincrement=False)
    comment_id: Mapped[int] = mapped_column(UnsignedId, primary_key=True, autoincrement=False)
    created_at: Mapped[datetime] = _created_at()


class ReplicationTerm(Base):
    """One row: how often the source has moved to another server, and which one it is now."""

    __tablename__ = "replication_term"
    __table_args__ = (TABLE_OPTIONS,)

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    term: Mapped[int] = mapped_column(BigInteger, nullable=False)
    source: Mapped[str] = mapped_column(String(255), nullable=False)


class FlushGuard(Base):
    """One row per kind of action; a flush locks it, so that there is one at a time."""

    __tablename__ = "flush_guards"
    __table_args__ = (TABLE_OPTIONS,)

    kind: Mapped[str] = mapped_column(String(16), primary_key=True)


class Conversation(Base):
    """One row per pair that ever wrote; sending locks it, so that commit order is time order."""

    __tablename__ = "conversations"
    __table_args__ = (
        UniqueConstraint("low_user_id", "high_user_id", name="uq_conversations_pair"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = _id()
    low_user_id: Mapped[int] = mapped_column(UnsignedId, nullable=False)
    high_user_id: Mapped[int] = mapped_column(UnsignedId, nullable=False)
    last_time_ms: Mapped[int] = mapped_column(BigInteger, nullable=False)
    last_message_id: Mapped[int | None] = mapped_column(UnsignedId, nullable=True)
    # A send whose mark is not above this one must not commit: its mark was cleared.
    fenced_mark: Mapped[int] = mapped_column(BigInteger, nullable=False, server_default=text("0"))
    created_at: Mapped[datetime] = _created_at()
    updated_at: Mapped[datetime] = _updated_at()


class Message(Base):
    """A chat message, encrypted."""

    __tablename__ = "messages"
    __table_args__ = (
        Index("ix_messages_conversation", "conversation_id", "created_at_ms"),
        Index("ix_messages_direction", "from_user_id", "to_user_id", "created_at_ms"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = _id()
    conversation_id: Mapped[int] = mapped_column(UnsignedId, nullable=False)
    from_user_id: Mapped[int] = mapped_column(UnsignedId, nullable=False)
    to_user_id: Mapped[int] = mapped_column(UnsignedId, nullable=False)
    content: Mapped[str] = mapped_column(Text, nullable=False)
    # The data key that encrypted it; 0 for a message of the original (RSA PKCS#1 v1.5, base64).
    data_key_id: Mapped[int] = mapped_column(UnsignedId, nullable=False)
    created_at_ms: Mapped[int] = mapped_column(BigInteger, nullable=False)
    created_at: Mapped[datetime] = _created_at()
    updated_at: Mapped[datetime] = _updated_at()
    deleted_at: Mapped[datetime | None] = _deleted_at()


class MessageDataKey(Base):
    """An AES key for messages, wrapped by an RSA key pair of the configuration."""

    __tablename__ = "message_data_keys"
    __table_args__ = (TABLE_OPTIONS,)

    id: Mapped[int] = _id()
    wrapping_key_id: Mapped[str] = mapped_column(String(64), nullable=False)
    wrapped_key: Mapped[str] = mapped_column(Text, nullable=False)  # base64
    created_at: Mapped[datetime] = _created_at()
