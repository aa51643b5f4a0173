"""Who asks for what: people of the population with tokens, and what they look at, the same for the same population."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from sqlalchemy import Select, select

from dal.db.engine import Database, MySQLSettings, open_database
from dal.db.models import Conversation, Relation, User, Video
from pkg.settings import ProcessSettings
from pkg.token import TokenIssuer, TokenSettings
from scripts.operator.settings import with_long_statements
from scripts.stack.stack import Stack

# Of each of them 50 requests a second are let through.
VIEWERS = 1_000
TARGETS = 500
# The first poll of a chat asks MySQL; so few are all warm before they are measured.
CHATS = 250
# What has so many videos or comments is neither bare nor full pages.
USUAL = (5, 50)


class CastSettings(ProcessSettings):
    mysql: MySQLSettings
    token: TokenSettings


@dataclass(frozen=True)
class Cast:
    """Ids of the population.

    Attributes:
        viewers: who asks.
        videos: the newest ones, which the app opens.
        older_ms: times between which the feed goes on.
        authors, discussed: users with some videos, videos with some comments.
        conversations: two users who have written to each other, and when they did last.
        followed: a viewer and somebody whom they follow, so that they may write.
    """

    viewers: Sequence[int]
    videos: Sequence[int]
    older_ms: Sequence[int]
    authors: Sequence[int]
    discussed: Sequence[int]
    conversations: Sequence[tuple[int, int, int]]
    followed: Sequence[tuple[int, int]]
    issuer: TokenIssuer
    random: Random = field(default_factory=lambda: Random(1))  # noqa: S311 - the same at each run
    _tokens: dict[int, str] = field(default_factory=dict)

    def token(self, user_id: int) -> str:
        """Return a token of a user."""
        if user_id not in self._tokens:
            self._tokens[user_id] = self.issuer.issue(user_id)
        return self._tokens[user_id]


def load_cast(stack: Stack) -> Cast:
    """Choose people and things of the stack's population."""
    os.environ.update(stack.environment())
    settings = CastSettings.load()
    return asyncio.run(_load(settings))


async def _load(settings: CastSettings) -> Cast:
    async with open_database(with_long_statements(settings.mysql), patient=False) as database:
        rows = _Rows(database)
        users = await rows.fetch(select(User.id).order_by(User.id))
        viewers = [row[0] for row in users[:: max(len(users) // VIEWERS, 1)]][:VIEWERS]
        newest = await rows.fetch(
            select(Video.id, Video.published_at_ms)
            .where(Video.published_at_ms.is_not(None))
            .order_by(Video.published_at_ms.desc())
            .limit(2 * TARGETS)
        )
        follows = select(Relation.user_id, Relation.to_user_id).where(
            Relation.user_id.in_(viewers), Relation.active
        )
        talks = select(
            Conversation.low_user_id, Conversation.high_user_id, Conversation.last_time_ms
        )
        return Cast(
            viewers=viewers,
            videos=[row[0] for row in newest[:TARGETS]],
            older_ms=[row[1] for row in newest[TARGETS // 2 :]],
            authors=await rows.list_usual(User, User.work_count),
            discussed=await rows.list_usual(Video, Video.comment_count),
            conversations=await rows.fetch(talks.order_by(Conversation.id).limit(CHATS)),
            followed=await rows.fetch(follows.order_by(Relation.id).limit(CHATS)),
            issuer=TokenIssuer(settings.token),
        )


class _Rows:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def fetch(self, statement: Select[*tuple[Any, ...]]) -> list[Any]:
        async with self._database.read_source() as connection:
            return [tuple(row) for row in await connection.execute(statement)]

    async def list_usual(self, model: type[User] | type[Video], counter: Any) -> list[int]:
        """Return ids of rows whose counter is usual, or of those with the greatest where there are too few."""
        usual = select(model.id).where(counter.between(*USUAL)).order_by(model.id).limit(TARGETS)
        greatest = select(model.id).order_by(counter.desc()).limit(TARGETS)
        found = await self.fetch(usual) or await self.fetch(greatest)
        return [row[0] for row in found]
