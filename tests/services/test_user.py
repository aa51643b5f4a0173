"""UserService over real gRPC: accounts, logins, and what guessing is worth."""

import asyncio
import hashlib
import secrets
import uuid
from collections.abc import AsyncIterator
from urllib.request import urlopen

import pytest
from sqlalchemy import insert

from dal.db.models import Relation
from dal.db.users import find_credentials
from pkg.errors import (
    InvalidParameter,
    LoginThrottled,
    Unauthenticated,
    UserNameTaken,
    UserNotFound,
    WrongCredentials,
)
from pkg.ids import MAX_ID
from tests.services.user_phones import PASSWORD, OpenPhone, Phone, outcome


@pytest.fixture
async def phone(open_phone: OpenPhone) -> AsyncIterator[Phone]:
    async with open_phone() as opened:
        yield opened


@pytest.fixture
def name() -> str:
    return f"抖声😀{uuid.uuid4().hex[:12]}"


async def find_hash(database, name: str) -> str:
    async with database.read_source() as connection:
        credentials = await find_credentials(connection, name)
    assert credentials
    return str(credentials.password_hash)


async def test_a_new_account_can_be_used_at_once(phone, verifier, name):
    user_id, token = await phone.register(name)

    assert verifier.verify(token) == user_id
    assert await phone.login(name) == user_id
    assert (await phone.info(user_id)).name == name


async def test_a_password_is_stored_as_argon2id_alone(phone, database, name):
    await phone.register(name)

    stored = await find_hash(database, name)

    assert stored.startswith("$argon2id$")
    assert PASSWORD not in stored


async def test_a_name_is_the_same_however_it_is_typed(phone, name):
    user_id, _ = await phone.register(f"\u3000{name}é ")

    assert await phone.login(f" {name}e\u0301\n") == user_id
    assert (await phone.info(user_id)).name == f"{name}é"
    with pytest.raises(UserNameTaken):
        await phone.register(f"{name}é")


@pytest.mark.parametrize("bad", ["", "  ", "x" * 33, "😀" * 33, "a\nb", "a\x00b"])
async def test_a_name_that_breaks_a_rule_is_refused(phone, bad):
    with pytest.raises(InvalidParameter, match="用户名"):
        await phone.register(bad)
    with pytest.raises(InvalidParameter, match="用户名"):
        await phone.login(bad)


@pytest.mark.parametrize("bad", ["a\u200bb", "\u202eab", "a\x1bb", "\u3164", "\u2800\u2800"])
async def test_a_name_that_hides_something_or_shows_nothing_is_refused(phone, bad):
    with pytest.raises(InvalidParameter, match="用户名"):
        await phone.register(bad)


async def test_a_name_that_a_person_takes_for_another_has_one_owner(phone):
    name = f"user{uuid.uuid4().hex[:12]}a"
    user_id, _ = await phone.register(name)

    for other in (name.upper(), f"{name[:-1]}\u0430", f"{name}\ufe0f", name.replace("u", "\uff55")):
        with pytest.raises(UserNameTaken):
            await phone.register(other)
        with pytest.raises(WrongCredentials):
            await phone.login(other)
    assert await phone.login(name) == user_id


async def test_one_of_many_who_register_look_alikes_at_once_wins(phone):
    name = f"user{uuid.uuid4().hex[:12]}"
    others = [name, name.upper(), name.capitalize(), f"\uff55{name[1:]}", f"{name}\u3164"]

    outcomes = await asyncio.gather(*(outcome(phone.register(other)) for other in others))

    assert sorted(outcomes, key=str) == sorted([tuple, *[UserNameTaken] * 4], key=str)


async def test_an_account_older_than_the_rules_keeps_its_name(phone, database, make_user, name):
    await phone.register(name)
    hidden = f"{name}\u200b\u202e"
    user_id = await make_user(name=hidden, password_hash=await find_hash(database, name))

    assert await phone.login(hidden) == user_id
    assert (await phone.info(user_id)).name == hidden


@pytest.mark.parametrize("bad", ["", "x" * 33])
async def test_a_password_that_breaks_a_rule_is_refused(phone, name, bad):
    with pytest.raises(InvalidParameter, match="密码"):
        await phone.register(name, bad)


@pytest.mark.parametrize("password", [" ", "密" * 32, " a\tb\x00 ", "e\u0301"])
async def test_a_password_is_kept_as_it_was_sent(phone, name, password):
    user_id, _ = await phone.register(name, password)

    assert await phone.login(name, password) == user_id
    with pytest.raises(WrongCredentials):
        await phone.login(name, f"{password}x"[:32] if len(password) < 32 else password[1:])


async def test_one_of_many_concurrent_registrations_of_a_name_wins(phone, name):
    results = await asyncio.gather(*(outcome(phone.register(name)) for _ in range(20)))

    assert sorted(results, key=str) == sorted([tuple, *[UserNameTaken] * 19], key=str)


async def test_an_unknown_name_and_a_wrong_password_are_the_same_error(phone, name):
    await phone.register(name)

    with pytest.raises(WrongCredentials) as wrong:
        await phone.login(name, "other")
    with pytest.raises(WrongCredentials) as unknown:
        await phone.login(f"{name}x")

    assert wrong.value.message == unknown.value.message


async def test_five_failures_of_a_name_close_it_for_everybody_until_the_minute_is_over(
    open_phone, name
):
    async with open_phone() as phone, open_phone() as other:
        await phone.register(name)
        for guess in range(5):
            with pytest.raises(WrongCredentials):
                await phone.login(name, f"guess {guess}")

        for one in (phone, other):
            with pytest.raises(LoginThrottled) as caught:
                await one.login(name)
            assert 1 <= (caught.value.retry_after_s or 0) <= 60


async def test_an_unknown_name_is_closed_as_a_known_one_is(phone, name):
    for _ in range(5):
        with pytest.raises(WrongCredentials):
            await phone.login(name)

    with pytest.raises(LoginThrottled):
        await phone.login(name)


async def test_failures_from_one_address_close_it_for_every_name(open_phone, name):
    async with (
        open_phone(max_failures_per_address=7) as phone,
        open_phone(max_failures_per_address=7) as elsewhere,
    ):
        await phone.register(name)
        for number in range(7):
            with pytest.raises(WrongCredentials):
                await phone.login(f"{name[:20]} {number}")

        with pytest.raises(LoginThrottled):
            await phone.login(name)
        assert await elsewhere.login(name)


async def test_a_call_without_a_gateway_counts_for_the_callers_own_address(open_phone, name):
    async with open_phone(max_failures_per_address=1) as phone:
        direct = phone.without_gateway()
        await phone.register(name)
        assert await outcome(direct.login("nobody" + name)) in (WrongCredentials, LoginThrottled)

        assert await outcome(direct.login(name)) is LoginThrottled
        assert await phone.login(name)


async def test_a_success_forgives_the_failures_of_the_name(phone, name):
    await phone.register(name)
    for _ in range(3):
        for guess in range(4):
            with pytest.raises(WrongCredentials):
                await phone.login(name, f"guess {guess}")

        assert await phone.login(name)


async def test_failures_outlive_the_service(open_phone, name):
    async with open_phone() as phone:
        for _ in range(5):
            with pytest.raises(WrongCredentials):
                await phone.login(name)

    async with open_phone() as phone:
        with pytest.raises(LoginThrottled):
            await phone.login(name)


async def test_many_guesses_at_once_are_hardly_worth_more_than_one_after_the_other(phone, name):
    await phone.register(name)

    guesses = [outcome(phone.login(name, f"guess {number}")) for number in range(40)]
    results = await asyncio.gather(*guesses)

    assert set(results) == {WrongCredentials, LoginThrottled}
    assert results.count(WrongCredentials) <= 10


async def test_an_ipv6_household_has_one_count_of_failed_logins(open_phone, name):
    household = f"2001:db8:{uuid.uuid4().hex[:4]}:1"
    async with open_phone(f"{household}::1", max_failures_per_address=3) as phone:
        await phone.register(name)
        for number in range(3):
            with pytest.raises(WrongCredentials):
                await phone.elsewhere(f"{household}::{number + 2}").login(f"{name[:20]} {number}")

        with pytest.raises(LoginThrottled):
            await phone.login(name)
        assert await phone.elsewhere("198.51.100.7").login(name)


async def test_without_the_cache_people_still_log_in(servers, phone, name):
    user_id, _ = await phone.register(name)
    await asyncio.to_thread(servers.stop, "redis-cache")
    try:
        assert await phone.login(name) == user_id
        with pytest.raises(WrongCredentials):
            await phone.login(name, "other")
    finally:
        await asyncio.to_thread(servers.start, "redis-cache")

    assert await phone.login(name) == user_id


async def test_an_account_of_the_original_logs_in_and_gets_a_strong_hash(
    phone, database, make_user, name
):
    digest = hashlib.md5(PASSWORD.encode(), usedforsecurity=False).hexdigest()
    user_id = await make_user(name=name, password_hash=digest)

    with pytest.raises(WrongCredentials):
        await phone.login(name, "other")
    assert await find_hash(database, name) == digest
    assert await phone.login(name) == user_id

    assert (await find_hash(database, name)).startswith("$argon2id$")
    assert await phone.login(name) == user_id
    with pytest.raises(WrongCredentials):
        await phone.login(name, digest)


async def test_the_pictures_of_a_new_account_load(phone, settings, name):
    user_id, _ = await phone.register(name)

    card = await phone.info(user_id)

    base = f"http://127.0.0.1:{settings.storage.port}"
    for path, content_type in ((card.avatar, "image/png"), (card.background_image, "image/jpeg")):
        with await asyncio.to_thread(urlopen, f"{base}/{path}", timeout=5) as reply:
            assert reply.status == 200
            assert reply.headers["Content-Type"] == content_type


@pytest.mark.parametrize("user_id", [-1, 2**52])
async def test_nobody_is_found_under_an_unknown_id(phone, user_id):
    with pytest.raises(UserNotFound):
        await phone.info(user_id)


async def test_a_card_says_whether_its_viewer_follows(phone, database, issuer, make_user):
    viewer, followed, left = [await make_user() for _ in range(3)]
    async with database.write() as connection:
        await connection.execute(
            insert(Relation),
            [
                {"user_id": viewer, "to_user_id": followed, "active": True, "acted_at_us": 1},
                {"user_id": viewer, "to_user_id": left, "active": False, "acted_at_us": 1},
            ],
        )
    token = issuer.issue(viewer)

    assert (await phone.info(followed, token)).is_follow
    assert not (await phone.info(left, token)).is_follow
    assert not (await phone.info(viewer, token)).is_follow
    assert not (await phone.info(followed)).is_follow


async def test_a_broken_token_makes_the_viewer_anonymous(phone, name):
    user_id, token = await phone.register(name)

    card = await phone.info(user_id, token[:-8] + "AAAAAAAA")

    assert card.id == user_id


async def test_a_card_without_an_id_is_the_callers_who_must_be_there(open_phone, issuer):
    async with open_phone() as phone:
        user_id, token = await phone.register(f"card-{secrets.token_hex(4)}")

        assert (await phone.info(0, token)).id == user_id
        for refused in ("", "junk", issuer.issue(MAX_ID)):
            assert await outcome(phone.info(0, refused)) is Unauthenticated
