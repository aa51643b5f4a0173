"""A database of the Go original, with the tables that it published, or with what people made of them: without keys, all columns NULL."""

import re
from typing import Any

from pymysql.cursors import Cursor

COUNTER = "bigint unsigned NOT NULL DEFAULT 0"
ID = "id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY"
OF = "bigint unsigned NOT NULL"
TIMES = "created_at datetime(3) NOT NULL, updated_at datetime(3), deleted_at datetime(3)"
TABLES = {
    "users": f"""{ID}, user_name varchar(40) NOT NULL, password varchar(256) NOT NULL,
        following_count {COUNTER}, follower_count {COUNTER}, {TIMES}, avatar varchar(256),
        background_image varchar(256) DEFAULT 'default_background.jpg', work_count {COUNTER},
        favorite_count {COUNTER}, total_favorited {COUNTER}, signature varchar(256), UNIQUE KEY (user_name)""",
    "videos": f"""{ID}, play_url varchar(255) NOT NULL, cover_url varchar(255) NOT NULL, favorite_count {COUNTER},
        comment_count {COUNTER}, title varchar(50) NOT NULL, author_id {OF}, {TIMES}, KEY (author_id), KEY (created_at),
        CONSTRAINT FOREIGN KEY (author_id) REFERENCES users (id)""",
    "comments": f"""{ID}, content varchar(255) NOT NULL, video_id {OF}, user_id {OF}, {TIMES}, like_count {COUNTER},
        tease_count {COUNTER}, KEY (video_id), CONSTRAINT FOREIGN KEY (user_id) REFERENCES users (id),
        CONSTRAINT FOREIGN KEY (video_id) REFERENCES videos (id)""",
    "messages": f"""{ID}, from_user_id {OF}, to_user_id {OF}, content varchar(255) NOT NULL, {TIMES}, KEY (from_user_id),
        KEY (to_user_id), CONSTRAINT FOREIGN KEY (from_user_id) REFERENCES users (id)""",
    "relations": f"""{ID}, user_id {OF}, to_user_id {OF}, created_at datetime(3), updated_at datetime(3),
        deleted_at datetime(3), KEY (user_id), KEY (to_user_id), CONSTRAINT FOREIGN KEY (user_id) REFERENCES users (id)""",
    "user_favorite_videos": f"""user_id {OF}, video_id {OF}, PRIMARY KEY (user_id, video_id), KEY (video_id),
        CONSTRAINT FOREIGN KEY (user_id) REFERENCES users (id), CONSTRAINT FOREIGN KEY (video_id) REFERENCES videos (id)""",
    "user_favorite_comments": f"""user_id {OF}, comment_id {OF}, PRIMARY KEY (user_id, comment_id),
        CONSTRAINT FOREIGN KEY (comment_id) REFERENCES comments (id)""",
}
KEYS = re.compile(
    r",\s*(CONSTRAINT )?(UNIQUE |FOREIGN |PRIMARY )?KEY \([a-z_, ]+\)( REFERENCES [a-z]+ \(id\))?"
)


class Original:
    """Makes the tables in an empty database, and rows in them."""

    def __init__(self, cursor: Cursor, database: str, *, with_keys: bool = True) -> None:
        self.cursor = cursor
        self.database = database
        for table, columns in TABLES.items():
            found = columns if with_keys else _without_keys(columns)
            cursor.execute(f"CREATE TABLE {database}.{table} ({found})")

    def add(self, table: str, *rows: dict[str, Any]) -> None:
        """Insert rows; what they do not name is as the table has it."""
        for row in rows:
            columns, marks = ", ".join(row), ", ".join(["%s"] * len(row))
            statement = f"INSERT INTO {self.database}.{table} ({columns}) VALUES ({marks})"  # noqa: S608
            self.cursor.execute(statement, list(row.values()))


def _without_keys(columns: str) -> str:
    nullable = KEYS.sub("", columns).replace("NOT NULL", "NULL")
    return nullable.replace("NULL AUTO_INCREMENT PRIMARY KEY", "NULL")
