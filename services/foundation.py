"""What every service stands on: MySQL, the Redis for actions, and who the caller is."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from dal.db.engine import Database, MySQLSettings, open_database
from dal.redis.changes import ChangeLog, ChangeWatch
from dal.redis.client import Redis, RedisSettings, open_redis
from dal.redis.overlay import Overlay
from dal.registers.flags import ViewerFlags
from pkg.endurance import repeat_until_stopped
from pkg.rpc.server import Background, ServiceProcessSettings
from pkg.settings import Section
from pkg.stopping import wait_for_stop
from pkg.token import TokenSettings, TokenVerifier
from services.identity import Viewers
from services.presenters import Presenter

ASK_INTERVAL_S = 5.0


class CardSettings(Section):
    """The section `cards`."""

    keep_in_memory: bool
    """Whether services keep cards, pages and what viewers like in memory until a change is announced; else each call reads them."""


class FoundationSettings(ServiceProcessSettings):
    """The sections that every service's process reads."""

    mysql: MySQLSettings
    redis_actions: RedisSettings
    token: TokenSettings
    cards: CardSettings


def keep_asking(question: Callable[[], Awaitable[object]], *, name: str) -> Background:
    """Return what asks a server now and then whether it is there: the metrics tell of an outage before somebody needs it."""

    async def run(stop: asyncio.Event) -> None:
        async def ask() -> None:
            await question()
            await wait_for_stop(stop, ASK_INTERVAL_S)

        await repeat_until_stopped(stop, ask, name=name, pause_s=ASK_INTERVAL_S)

    return run


@dataclass(frozen=True)
class Foundation:
    """The open connections and who may act; what only some services need, they open themselves."""

    viewers: Viewers
    database: Database
    redis: Redis
    overlay: Overlay
    changes: ChangeLog
    # None where nothing is kept in memory.
    watch: ChangeWatch | None

    @property
    def background(self) -> list[Background]:
        """What runs beside the calls of every service."""
        return [
            self.database.check_nodes,
            self.viewers.keep_checking,
            self.changes.keep_announcing,
        ]

    def make_presenter(self) -> Presenter:
        """Return what builds the cards of users and videos."""
        flags = ViewerFlags(self.database, self.overlay, self.watch)
        return Presenter(self.database, flags, self.watch)


@asynccontextmanager
async def open_foundation(settings: FoundationSettings) -> AsyncIterator[Foundation]:
    """Read the keys, then wait for both servers; close the connections at the end."""
    verifier = TokenVerifier(settings.token)
    async with (
        open_database(settings.mysql) as database,
        open_redis(settings.redis_actions) as redis,
    ):
        yield Foundation(
            viewers=Viewers(verifier, database),
            database=database,
            redis=redis,
            overlay=Overlay(redis),
            changes=ChangeLog(redis),
            watch=ChangeWatch(redis) if settings.cards.keep_in_memory else None,
        )
