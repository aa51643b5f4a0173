"""The check after a load sees what is missing, comes twice or is wrong: without that, its silence would prove nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.conftest import AllSettings
from tests.faults.ledger import Sent
from tests.faults.load import Load, steady_load
from tests.faults.verification import Verification, check_conversation
from tests.register_stores import open_stores
from tests.system.system import System

PLAY_S = 10
# Each statement takes away what one of the checks must miss; the next one sees it before those behind it.
DAMAGE = {
    "counters": "UPDATE videos SET comment_count = comment_count + 1 WHERE published_at_ms IS NOT NULL",
    "published": "UPDATE videos SET status = 'failed', published_at_ms = NULL WHERE author_id = {author}",
    "messages": "DELETE FROM messages ORDER BY id LIMIT 1",
    "comments": "DELETE FROM comments WHERE id = {comment}",
    "favorite": "UPDATE user_favorite_videos SET active = NOT active LIMIT 1",
}


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        ((), "lost"),
        (("a",), "lost"),
        (("b", "a"), "out of order"),
        (("a", "b", "b"), "twice"),
        (("a", "b", "c"), "nobody sent"),
    ],
)
def test_a_conversation_that_differs_is_refused(texts: tuple[str, ...], problem: str) -> None:
    sent = [
        Sent("a", acknowledged=True),
        Sent("?", acknowledged=False),
        Sent("b", acknowledged=True),
    ]

    with pytest.raises(AssertionError, match=problem):
        check_conversation(texts, sent)


@pytest.mark.parametrize("texts", [("a", "b"), ("a", "?", "b")])
def test_what_was_not_acknowledged_may_be_there_or_not(texts: tuple[str, ...]) -> None:
    sent = [
        Sent("a", acknowledged=True),
        Sent("?", acknowledged=False),
        Sent("b", acknowledged=True),
    ]

    check_conversation(texts, sent)


@asynccontextmanager
async def played(system: System, small_video: Path) -> AsyncIterator[Load]:
    """A load that has ended."""
    print()
    async with steady_load(system.base_url, small_video) as load:
        await load.goes_on(PLAY_S)
        await load.stop()
        yield load


async def test_whatever_is_taken_away_is_missed(
    system: System, settings: AllSettings, small_video: Path
) -> None:
    async with played(system, small_video) as load:
        await load.verify(settings)

        async with open_stores(settings.mysql, settings.redis_actions) as stores:
            verification = Verification(load.ledger, load.people, stores)
            known = {
                "author": load.people[0].app.user_id,
                "comment": next(iter(load.ledger.comments.values())),
            }
            for problem, statement in DAMAGE.items():
                async with stores.database.write() as connection:
                    await connection.execute(text(statement.format(**known)))
                with pytest.raises(AssertionError, match=problem):
                    await verification.holds()
