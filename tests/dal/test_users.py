"""Accounts: one owner per name, whatever two names look like to a collation."""

import asyncio
import uuid

import pytest
from sqlalchemy import func, select, update

from dal.db.models import DEFAULT_AVATAR, DEFAULT_BACKGROUND, User
from dal.db.users import (
    find_credentials,
    insert_user,
    list_users,
    replace_password_hash,
    require_user,
)
from pkg.errors import UserNameTaken, UserNotFound


@pytest.fixture
def name() -> str:
    return uuid.uuid4().hex[:20]


async def delete_user(database, user_id: int) -> None:
    async with database.write() as connection:
        await connection.execute(
            update(User).where(User.id == user_id).values(deleted_at=func.now(3))
        )


async def test_one_of_many_concurrent_registrations_of_a_name_wins(database, name):
    async def register(number: int) -> int:
        async with database.write() as connection:
            return await insert_user(connection, name=name, password_hash=str(number))

    results = await asyncio.gather(*map(register, range(20)), return_exceptions=True)

    (winner,) = [result for result in results if isinstance(result, int)]
    assert sum(isinstance(result, UserNameTaken) for result in results) == 19
    async with database.read_source() as connection:
        credentials = await find_credentials(connection, name)
    assert credentials
    assert credentials.user_id == winner
    assert credentials.password_hash == str(results.index(winner))


@pytest.mark.parametrize(
    "ends",
    [
        ("😀", "🐶"),
        ("Résumé", "RESUME"),
        ("a", "A"),
        ("ß", "ss"),
        ("抖", "斗"),
        ("ﬁ", "fi"),
        ("1", "١"),
    ],
)
async def test_names_that_look_different_are_different(database, make_user, name, ends):
    ids = [await make_user(name=name + end) for end in ends]

    async with database.read_source() as connection:
        found = [await find_credentials(connection, name + end) for end in ends]
    assert [credentials and credentials.user_id for credentials in found] == ids


async def test_nobody_has_an_unknown_name(database, name):
    async with database.read_source() as connection:
        assert await find_credentials(connection, name) is None


async def test_a_name_of_32_emoji_fits(make_user, database):
    name = "".join(chr(0x1F600 + number % 60) for number in uuid.uuid4().bytes * 2)
    user_id = await make_user(name=name)

    async with database.read_source() as connection:
        (row,) = await list_users(connection, [user_id])
    assert row.name == name


async def test_a_new_account_has_nothing_but_the_default_pictures(make_user, database, name):
    user_id = await make_user(name=name)

    async with database.read_source() as connection:
        (row,) = await list_users(connection, [user_id])

    assert (row.avatar, row.background_image) == (DEFAULT_AVATAR, DEFAULT_BACKGROUND)
    assert row.signature == ""
    assert {
        row.following_count,
        row.follower_count,
        row.total_favorited,
        row.work_count,
        row.favorite_count,
    } == {0}


async def test_only_those_who_exist_are_listed(make_user, database):
    kept, deleted = await make_user(), await make_user()
    await delete_user(database, deleted)

    async with database.read_source() as connection:
        rows = await list_users(connection, [kept, deleted, 2**52])
        assert await list_users(connection, []) == []

    assert [row.id for row in rows] == [kept]


async def test_a_deleted_account_cannot_log_in_and_is_unknown(make_user, database, name):
    user_id = await make_user(name=name)
    await delete_user(database, user_id)

    async with database.read_source() as connection:
        assert await find_credentials(connection, name) is None
        with pytest.raises(UserNotFound):
            await require_user(connection, user_id)


@pytest.mark.parametrize("user_id", [0, -1, 2**52])
async def test_an_id_that_nobody_has_is_unknown(database, user_id):
    async with database.read_source() as connection:
        with pytest.raises(UserNotFound):
            await require_user(connection, user_id)


async def test_a_stronger_hash_replaces_only_the_one_it_was_made_from(make_user, database, name):
    user_id = await make_user(name=name, password_hash="old")

    async def replace(old_hash: str, new_hash: str) -> None:
        async with database.write() as connection:
            await replace_password_hash(
                connection, user_id=user_id, old_hash=old_hash, new_hash=new_hash
            )

    await replace("old", "changed by its owner")
    await replace("old", "made from the old one")

    async with database.read_source() as connection:
        credentials = await find_credentials(connection, name)
    assert credentials
    assert credentials.password_hash == "changed by its owner"


async def test_ids_stay_below_what_json_numbers_hold(database):
    async with database.read_source() as connection:
        assert (await connection.execute(select(func.max(User.id)))).scalar_one() < 2**53
