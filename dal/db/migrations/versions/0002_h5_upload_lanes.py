"""Lanes, cost and progress of uploads.

One statement, which both servers carry out wholly or not at all, so that a migration that was killed can be run again.
"""

from alembic import op
from sqlalchemy import inspect

revision = "0002_h5"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    columns = {column["name"] for column in inspect(op.get_bind()).get_columns("videos")}
    if "is_heavy" in columns:
        return
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
