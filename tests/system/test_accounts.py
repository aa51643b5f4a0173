"""Accounts over HTTP: one winner among equals, and guesses that get slower on every instance."""

import asyncio
import uuid
from collections.abc import Callable

import pytest

from tests.system.app import App, read_envelope, read_refusal, succeeded

Phone = Callable[[], App]
TAKEN = 20002
WRONG = 20003
THROTTLED = 20004


async def test_of_concurrent_registrations_of_one_name_one_wins(viewer: App) -> None:
    name = f"同名-{uuid.uuid4().hex[:12]}"

    replies = await asyncio.gather(
        *(
            viewer.ask("POST", "douyin/user/register/", username=name, password=f"pass-{number}")
            for number in range(12)
        )
    )

    codes = sorted(reply["status_code"] for reply in replies)
    assert codes == [0, *[TAKEN] * 11]
    (winner,) = [number for number, reply in enumerate(replies) if reply["status_code"] == 0]
    login = await viewer.post("douyin/user/login/", username=name, password=f"pass-{winner}")
    assert login["user_id"] == replies[winner]["user_id"]


async def test_names_that_differ_in_their_emoji_are_different(phone: Phone) -> None:
    name = uuid.uuid4().hex[:12]

    apps = [await phone().register(name + sign) for sign in ("😀", "🐶", "")]

    assert len({app.user_id for app in apps}) == 3
    assert [(await app.user(app.user_id))["name"] for app in apps] == [app.name for app in apps]


async def test_an_unknown_name_and_a_wrong_password_are_told_alike(
    author: App, viewer: App
) -> None:
    replies = [
        await viewer.ask("POST", "douyin/user/login/", username=name, password="wrong-password")
        for name in (author.name, uuid.uuid4().hex[:20])
    ]

    assert replies[0] == replies[1]
    assert replies[0]["status_code"] == WRONG


async def guess(app: App, name: str, password: str = "wrong-password") -> int:
    """Try to log in once and return the `status_code`, whatever the HTTP status."""
    reply = await app.send("POST", "douyin/user/login/", username=name, password=password)
    return int(read_envelope(reply)["status_code"])


async def test_the_sixth_guess_of_a_password_has_to_wait(author: App, viewer: App) -> None:
    guesses = [await guess(viewer, author.name) for _ in range(5)]

    refused = await viewer.send(
        "POST", "douyin/user/login/", username=author.name, password=author.password
    )

    assert guesses == [WRONG] * 5
    assert read_refusal(refused, 429)["status_code"] == THROTTLED
    assert 0 < int(refused.headers["retry-after"]) <= 60


async def test_a_success_clears_the_guesses_before_it(author: App, viewer: App) -> None:
    for _ in range(2):
        assert [await guess(viewer, author.name) for _ in range(4)] == [WRONG] * 4
        await author.login()


async def test_many_guesses_at_once_are_slowed_down_too(author: App, viewer: App) -> None:
    codes = await asyncio.gather(*(guess(viewer, author.name) for _ in range(16)))

    assert set(codes) == {WRONG, THROTTLED}
    assert codes.count(WRONG) == 5


@pytest.mark.parametrize("place", ["query", "form"])
async def test_an_account_is_made_from_the_query_or_a_form(viewer: App, place: str) -> None:
    name = f"表单-{uuid.uuid4().hex[:12]}"
    path = "douyin/user/register/"

    if place == "query":
        reply = await viewer.send("POST", path, username=name, password="form-password")
    else:
        account = {"username": name, "password": "form-password"}
        reply = await viewer.send("POST", path, data=account)

    assert succeeded(read_envelope(reply))["user_id"] > 0
