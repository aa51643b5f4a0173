"""Users and videos whose registers a test writes, and what Redis and MySQL then hold."""

import time
import uuid
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

from redis.asyncio import Redis
from sqlalchemy import insert, select, text

from dal.db.engine import Database, MySQLSettings, open_database
from dal.db.models import User, Video, VideoStatus
from dal.db.register_rows import COLUMNS
from dal.redis.client import RedisSettings, open_redis
from dal.redis.clock import VersionClock
from dal.redis.keys import parse_register, user_pending_key
from dal.redis.pending import PendingActions
from dal.registers.model import Action, ActionType, Kind


@dataclass
class RegisterStores:
    """The database and the Redis of one test; makes users, videos and actions, and looks at what became of them."""

    database: Database
    redis: Redis

    def pending(self, kind: Kind) -> PendingActions:
        return PendingActions(self.redis, kind)

    async def list_pending_of(self, kind: Kind, user_id: int) -> list[Action]:
        """Return what the index of a user's pending actions holds."""
        reply = await self.redis.hgetall(user_pending_key(kind, user_id))
        found = cast("dict[bytes, bytes]", reply)
        return [parse_register(user_id, int(target), value) for target, value in found.items()]

    async def act(self, user_id: int, target_id: int, action_type: ActionType) -> Action:
        """Return a new action, the newest of all so far."""
        return Action(user_id, target_id, await VersionClock(self.redis).draw(), action_type)

    async def add_users(self, count: int) -> list[int]:
        names = [uuid.uuid4().hex for _ in range(count)]
        async with self.database.write() as connection:
            await connection.execute(
                insert(User), [{"user_name": name, "password": "-"} for name in names]
            )
            found = await connection.scalars(select(User.id).where(User.user_name.in_(names)))
            return sorted(found)

    async def add_videos(self, author_id: int, count: int) -> list[int]:
        """Publish videos, and count them as the video service does."""
        rows = []
        for _ in range(count):
            key = uuid.uuid4().hex
            rows.append(
                {
                    "author_id": author_id,
                    "title": key,
                    "upload_key": key,
                    "play_url": key,
                    "cover_url": key,
                    "status": VideoStatus.PUBLISHED.value,
                    "created_at_ms": time.time_ns() // 1_000_000,
                    "published_at_ms": time.time_ns() % 2**62,
                }
            )
        async with self.database.write() as connection:
            await connection.execute(
                text("UPDATE users SET work_count = work_count + :n WHERE id = :id"),
                {"n": count, "id": author_id},
            )
            await connection.execute(insert(Video), rows)
            titles = [row["title"] for row in rows]
            return sorted(await connection.scalars(select(Video.id).where(Video.title.in_(titles))))

    async def rows(self, kind: Kind, user_ids: Collection[int]) -> set[tuple[int, int, bool]]:
        """Return (user, target, active) of every row of these users."""
        columns = COLUMNS[kind]
        statement = select(columns.user_id, columns.target_id, columns.active)
        async with self.database.read_source() as connection:
            found = await connection.execute(statement.where(columns.user_id.in_(list(user_ids))))
            return {(user, target, bool(active)) for user, target, active in found}

    async def counters(self, user_id: int) -> dict[str, int]:
        statement = select(
            User.favorite_count, User.total_favorited, User.following_count, User.follower_count
        ).where(User.id == user_id)
        async with self.database.read_source() as connection:
            return dict((await connection.execute(statement)).mappings().one())

    async def favorite_count(self, video_id: int) -> int:
        async with self.database.read_source() as connection:
            statement = select(Video.favorite_count).where(Video.id == video_id)
            return int((await connection.execute(statement)).scalar_one())


@asynccontextmanager
async def open_stores(
    mysql: MySQLSettings, redis_actions: RedisSettings
) -> AsyncIterator[RegisterStores]:
    """Open database and Redis for one test."""
    async with open_database(mysql) as database, open_redis(redis_actions) as redis:
        yield RegisterStores(database, redis)
