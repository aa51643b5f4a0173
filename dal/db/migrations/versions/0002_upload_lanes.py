"""Lanes, cost and progress of uploads, in one statement: both servers carry it out wholly or not at all."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "ALTER TABLE videos"
        " ADD COLUMN is_heavy BOOL NOT NULL DEFAULT 0 AFTER attempts,"
        " ADD COLUMN cost_s INTEGER NOT NULL DEFAULT 0 AFTER is_heavy,"
        " ADD COLUMN progress_percent INTEGER NOT NULL DEFAULT 0 AFTER cost_s,"
        " ADD COLUMN started_at_ms BIGINT NOT NULL DEFAULT 0 AFTER progress_percent,"
        " DROP INDEX ix_videos_claim,"
        " ADD INDEX ix_videos_claim (status, is_heavy, lease_expires_at_ms),"
        " ADD INDEX ix_videos_started (is_heavy, started_at_ms, author_id, cost_s)"
    )


def downgrade() -> None:
    op.execute(
        "ALTER TABLE videos"
        " DROP INDEX ix_videos_started,"
        " DROP INDEX ix_videos_claim,"
        " ADD INDEX ix_videos_claim (status, lease_expires_at_ms),"
        " DROP COLUMN started_at_ms,"
        " DROP COLUMN progress_percent,"
        " DROP COLUMN cost_s,"
        " DROP COLUMN is_heavy"
    )
