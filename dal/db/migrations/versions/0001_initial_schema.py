"""The whole schema, from an empty database."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "comments",
        sa.Column("id", mysql.BIGINT(unsigned=True), autoincrement=True, nullable=False),
        sa.Column("content", sa.String(length=255), nullable=False),
        sa.Column("video_id", mysql.BIGINT(unsigned=True), nullable=False),
        sa.Column("user_id", mysql.BIGINT(unsigned=True), nullable=False),
        sa.Column("like_count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("tease_count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "created_at",
            mysql.DATETIME(fsp=3),
            server_default=sa.text("CURRENT_TIMESTAMP(3)"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            mysql.DATETIME(fsp=3),
            server_default=sa.text("CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3)"),
            nullable=False,
        ),
        sa.Column("deleted_at", mysql.DATETIME(fsp=3), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_unicode_ci",
    )
    op.create_index("ix_comments_video", "comments", ["video_id", "deleted_at", "id"], unique=False)
    op.create_table(
        "conversations",
        sa.Column("id", mysql.BIGINT(unsigned=True), autoincrement=True, nullable=False),
        sa.Column("low_user_id", mysql.BIGINT(unsigned=True), nullable=False),
        sa.Column("high_user_id", mysql.BIGINT(unsigned=True), nullable=False),
        sa.Column("last_time_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_message_id", mysql.BIGINT(unsigned=True), nullable=True),
        sa.Column("fenced_mark", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "created_at",
            mysql.DATETIME(fsp=3),
            server_default=sa.text("CURRENT_TIMESTAMP(3)"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            mysql.DATETIME(fsp=3),
            server_default=sa.text("CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3)"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("low_user_id", "high_user_id", name="uq_conversations_pair"),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_unicode_ci",
    )
    op.create_table(
        "flush_guards",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("kind"),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_unicode_ci",
    )
    op.create_table(
        "message_data_keys",
        sa.Column("id", mysql.BIGINT(unsigned=True), autoincrement=True, nullable=False),
        sa.Column("wrapping_key_id", sa.String(length=64), nullable=False),
        sa.Column("wrapped_key", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            mysql.DATETIME(fsp=3),
            server_default=sa.text("CURRENT_TIMESTAMP(3)"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id"),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_unicode_ci",
    )
    op.create_table(
        "messages",
        sa.Column("id", mysql.BIGINT(unsigned=True), autoincrement=True, nullable=False),
        sa.Column("conversation_id", mysql.BIGINT(unsigned=True), nullable=False),
        sa.Column("from_user_id", mysql.BIGINT(unsigned=True), nullable=False),
        sa.Column("to_user_id", mysql.BIGINT(unsigned=True), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("data_key_id", mysql.BIGINT(unsigned=True), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column(
            "created_at",
            mysql.DATETIME(fsp=3),
            server_default=sa.text("CURRENT_TIMESTAMP(3)"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            mysql.DATETIME(fsp=3),
            server_default=sa.text("CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3)"),
            nullable=False,
        ),
        sa.Column("deleted_at", mysql.DATETIME(fsp=3), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_unicode_ci",
    )
    op.create_index(
        "ix_messages_conversation", "messages", ["conversation_id", "created_at_ms"], unique=False
    )
    op.create_index(
        "ix_messages_direction",
        "messages",
        ["from_user_id", "to_user_id", "created_at_ms"],
        unique=False,
    )
    op.create_table(
        "publication_clock",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_unicode_ci",
    )
    op.create_table(
        "relations",
        sa.Column("id", mysql.BIGINT(unsigned=True), autoincrement=True, nullable=False),
        sa.Column("user_id", mysql.BIGINT(unsigned=True), nullable=False),
        sa.Column("to_user_id", mysql.BIGINT(unsigned=True), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("acted_at_us", sa.BigInteger(), nullable=False),
        sa.Column(
            "created_at",
            mysql.DATETIME(fsp=3),
            server_default=sa.text("CURRENT_TIMESTAMP(3)"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            mysql.DATETIME(fsp=3),
            server_default=sa.text("CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3)"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("user_id", "to_user_id", name="uq_relations_pair"),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_unicode_ci",
    )
    op.create_index(
        "ix_relations_followers", "relations", ["to_user_id", "active", "acted_at_us"], unique=False
    )
    op.create_index(
        "ix_relations_following", "relations", ["user_id", "active", "acted_at_us"], unique=False
    )
    op.create_table(
        "user_favorite_comments",
        sa.Column("user_id", mysql.BIGINT(unsigned=True), autoincrement=False, nullable=False),
        sa.Column("comment_id", mysql.BIGINT(unsigned=True), autoincrement=False, nullable=False),
        sa.Column(
            "created_at",
            mysql.DATETIME(fsp=3),
            server_default=sa.text("CURRENT_TIMESTAMP(3)"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("user_id", "comment_id"),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_unicode_ci",
    )
    op.create_index(
        "ix_favorite_comments_comment", "user_favorite_comments", ["comment_id"], unique=False
    )
    op.create_table(
        "user_favorite_videos",
        sa.Column("user_id", mysql.BIGINT(unsigned=True), autoincrement=False, nullable=False),
        sa.Column("video_id", mysql.BIGINT(unsigned=True), autoincrement=False, nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("acted_at_us", sa.BigInteger(), nullable=False),
        sa.Column(
            "created_at",
            mysql.DATETIME(fsp=3),
            server_default=sa.text("CURRENT_TIMESTAMP(3)"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            mysql.DATETIME(fsp=3),
            server_default=sa.text("CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3)"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("user_id", "video_id"),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_unicode_ci",
    )
    op.create_index(
        "ix_favorite_videos_list",
        "user_favorite_videos",
        ["user_id", "active", "acted_at_us"],
        unique=False,
    )
    op.create_index(
        "ix_favorite_videos_video", "user_favorite_videos", ["video_id", "active"], unique=False
    )
    op.create_table(
        "users",
        sa.Column("id", mysql.BIGINT(unsigned=True), autoincrement=True, nullable=False),
        sa.Column("user_name", sa.String(length=40, collation="utf8mb4_bin"), nullable=False),
        sa.Column("password", sa.String(length=256), nullable=False),
        sa.Column("following_count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("follower_count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "avatar", sa.String(length=255), server_default="default_avatar.png", nullable=False
        ),
        sa.Column(
            "background_image",
            sa.String(length=255),
            server_default="default_background.jpg",
            nullable=False,
        ),
        sa.Column("work_count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("favorite_count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("total_favorited", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("signature", sa.String(length=255), server_default="", nullable=False),
        sa.Column(
            "created_at",
            mysql.DATETIME(fsp=3),
            server_default=sa.text("CURRENT_TIMESTAMP(3)"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            mysql.DATETIME(fsp=3),
            server_default=sa.text("CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3)"),
            nullable=False,
        ),
        sa.Column("deleted_at", mysql.DATETIME(fsp=3), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("user_name", name="uq_users_user_name"),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_unicode_ci",
    )
    op.create_table(
        "videos",
        sa.Column("id", mysql.BIGINT(unsigned=True), autoincrement=True, nullable=False),
        sa.Column("author_id", mysql.BIGINT(unsigned=True), nullable=False),
        sa.Column("title", sa.String(length=50), nullable=False),
        sa.Column("upload_key", sa.String(length=255), nullable=False),
        sa.Column("play_url", sa.String(length=255), nullable=False),
        sa.Column("cover_url", sa.String(length=255), nullable=False),
        sa.Column("favorite_count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("comment_count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("share_count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("failure_reason", sa.String(length=255), server_default="", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("lease_token", sa.String(length=32), server_default="", nullable=False),
        sa.Column(
            "lease_expires_at_ms", sa.BigInteger(), server_default=sa.text("0"), nullable=False
        ),
        sa.Column("published_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column(
            "created_at",
            mysql.DATETIME(fsp=3),
            server_default=sa.text("CURRENT_TIMESTAMP(3)"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            mysql.DATETIME(fsp=3),
            server_default=sa.text("CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3)"),
            nullable=False,
        ),
        sa.Column("deleted_at", mysql.DATETIME(fsp=3), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("published_at_ms", name="uq_videos_published_at_ms"),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_unicode_ci",
    )
    op.create_index("ix_videos_author_id", "videos", ["author_id", "id"], unique=False)
    op.create_index(
        "ix_videos_author_published", "videos", ["author_id", "published_at_ms"], unique=False
    )
    op.create_index("ix_videos_claim", "videos", ["status", "lease_expires_at_ms"], unique=False)
    for guard in ("favorite", "relation"):
        op.execute(sa.text("INSERT INTO flush_guards (kind) VALUES (:kind)").bindparams(kind=guard))
    op.execute("INSERT INTO publication_clock (id, last_ms) VALUES (1, 0)")


def downgrade() -> None:
    op.drop_index("ix_videos_claim", table_name="videos")
    op.drop_index("ix_videos_author_published", table_name="videos")
    op.drop_index("ix_videos_author_id", table_name="videos")
    op.drop_table("videos")
    op.drop_table("users")
    op.drop_index("ix_favorite_videos_video", table_name="user_favorite_videos")
    op.drop_index("ix_favorite_videos_list", table_name="user_favorite_videos")
    op.drop_table("user_favorite_videos")
    op.drop_index("ix_favorite_comments_comment", table_name="user_favorite_comments")
    op.drop_table("user_favorite_comments")
    op.drop_index("ix_relations_following", table_name="relations")
    op.drop_index("ix_relations_followers", table_name="relations")
    op.drop_table("relations")
    op.drop_table("publication_clock")
    op.drop_index("ix_messages_direction", table_name="messages")
    op.drop_index("ix_messages_conversation", table_name="messages")
    op.drop_table("messages")
    op.drop_table("message_data_keys")
    op.drop_table("flush_guards")
    op.drop_table("conversations")
    op.drop_index("ix_comments_video", table_name="comments")
    op.drop_table("comments")
