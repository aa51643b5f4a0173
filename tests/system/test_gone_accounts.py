"""Whoever is gone or suspended acts nowhere any more, whatever their token says."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import websockets
from sqlalchemy import delete, func, update

from dal.db.engine import Database
from dal.db.models import User
from pkg.token import TokenIssuer
from tests.eventually import eventually
from tests.system.app import App, describe, read_envelope
from tests.system.system import System

KNOWN_WITHIN_S = 5.0
WRONG_CREDENTIALS = 20003
OK, UNAUTHORIZED = 200, 401
UNAUTHENTICATED = 10002
Leave = Callable[[System, Database, int], Awaitable[None]]


async def run_script(system: System, *arguments: str) -> None:
    await asyncio.to_thread(system.stack.run_module, "scripts.operator.account", *arguments)


async def suspend(system: System, _: Database, user_id: int) -> None:
    await run_script(system, "suspend", str(user_id))


async def mark_deleted(_: System, database: Database, user_id: int) -> None:
    async with database.write() as connection:
        statement = update(User).where(User.id == user_id)
        await connection.execute(statement.values(deleted_at=func.utc_timestamp(3)))


async def remove_row(_: System, database: Database, user_id: int) -> None:
    async with database.write() as connection:
        await connection.execute(delete(User).where(User.id == user_id))


def list_calls(other: App) -> list[tuple[str, str, dict[str, Any]]]:
    """Return a call of every service that acts for the owner of a token."""
    return [
        ("POST", "douyin/favorite/action/", {"video_id": 1, "action_type": 1}),
        (
            "POST",
            "douyin/relation/action/",
            {"to_user_id": other.user_id, "action_type": 1},
        ),
        (
            "POST",
            "douyin/comment/action/",
            {"video_id": 1, "action_type": 1, "comment_text": "你好"},
        ),
        (
            "POST",
            "douyin/message/action/",
            {"to_user_id": other.user_id, "action_type": 1, "content": "你好"},
        ),
        ("GET", "douyin/message/chat/", {"to_user_id": other.user_id, "pre_msg_time": 1}),
        ("GET", "douyin/publish/status/", {}),
    ]


async def list_statuses(app: App, other: App, video: Path) -> list[int]:
    """Return what HTTP says to each of the calls, and to an upload."""
    replies = [await app.send(method, path, **params) for method, path, params in list_calls(other)]
    replies.append(await app.send_video(video))
    return [reply.status_code for reply in replies]


def count_calls(other: App) -> int:
    return len(list_calls(other)) + 1


@pytest.mark.parametrize("leave", [suspend, mark_deleted, remove_row])
async def test_whoever_is_gone_is_refused_everywhere_within_5_s(
    system: System,
    phone: Callable[[], App],
    author: App,
    *,
    database: Database,
    small_video: Path,
    leave: Leave,
) -> None:
    app = await phone().register()
    assert await list_statuses(app, author, small_video) == [OK] * count_calls(author)
    query = f"token={app.token}&to_user_id={author.user_id}"
    address = f"{system.base_url.replace('http', 'ws', 1)}douyin/message/ws?{query}"

    async with websockets.connect(address) as socket:
        await leave(system, database, app.user_id)
        async with asyncio.timeout(KNOWN_WITHIN_S):
            await socket.wait_closed()

            async def refused() -> bool:
                found = await list_statuses(app, author, small_video)
                return found == [UNAUTHORIZED] * count_calls(author)

            await eventually(refused)
    login = await app.ask(
        "POST", "douyin/user/login/", username=app.name, password=app.password, token=None
    )
    assert login["status_code"] == WRONG_CREDENTIALS
    # Where a token is optional, they are a stranger.
    assert (await app.send("GET", "douyin/feed/")).status_code == OK


async def test_whoever_is_restored_goes_on(
    system: System, phone: Callable[[], App], author: App, small_video: Path
) -> None:
    app = await phone().register()
    await run_script(system, "delete", app.name)
    assert (await app.send("GET", "douyin/publish/status/")).status_code == UNAUTHORIZED

    await run_script(system, "restore", app.name)

    assert await list_statuses(app, author, small_video) == [OK] * count_calls(author)
    await app.login()


async def test_a_token_of_an_id_that_never_was_opens_nothing(
    settings: Any, phone: Callable[[], App], author: App, small_video: Path
) -> None:
    app = phone()
    for user_id in (2**53 - 1, 2**53, 2**64):
        app.token = TokenIssuer(settings.token).issue(user_id)

        assert set(await list_statuses(app, author, small_video)) == {UNAUTHORIZED}
        refusal = await app.send("GET", "douyin/publish/status/")
        assert read_envelope(refusal)["status_code"] == UNAUTHENTICATED, describe(refusal)
