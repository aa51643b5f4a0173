"""Who may act: accounts that are gone or suspended, on a real database."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import delete, text, update

from dal.db.accounts import AccountState, list_active_ids, set_account_state
from dal.db.engine import Database
from dal.db.models import User
from pkg.errors import DeadlineExceeded, DependencyUnavailable, Unauthenticated
from pkg.ids import MAX_ID
from scripts.operator.account import AccountSettings, change_account
from services import identity
from services.identity import Viewers
from tests.eventually import eventually
from tests.freezing import frozen
from tests.serving import counted_statements

GoneWay = Callable[[Database, int], Awaitable[None]]


async def remove_row(database: Database, user_id: int) -> None:
    async with database.write() as connection:
        await connection.execute(delete(User).where(User.id == user_id))


async def mark_deleted(database: Database, user_id: int) -> None:
    async with database.write() as connection:
        await connection.execute(
            update(User).where(User.id == user_id).values(deleted_at=text("UTC_TIMESTAMP(3)"))
        )


async def suspend(database: Database, user_id: int) -> None:
    async with database.write() as connection:
        await set_account_state(connection, user_id, AccountState.SUSPENDED)


WAYS = [remove_row, mark_deleted, suspend]


@pytest.fixture
def viewers(verifier, database) -> Viewers:
    return Viewers(verifier, database)


@pytest.fixture
async def checking(viewers, monkeypatch) -> AsyncIterator[None]:
    """The background task, as a service runs it, in more of a hurry."""
    monkeypatch.setattr(identity, "CHECK_INTERVAL_S", 0.1)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(viewers.keep_checking(stop))
        yield
        stop.set()


@pytest.mark.parametrize("leave", WAYS)
async def test_whoever_is_gone_is_refused_at_the_first_call(
    viewers, issuer, database, *, make_user, leave: GoneWay
):
    user_id = await make_user()
    await leave(database, user_id)

    with pytest.raises(Unauthenticated):
        await viewers.require(issuer.issue(user_id))
    assert await viewers.find(issuer.issue(user_id)) is None


@pytest.mark.parametrize("leave", WAYS)
async def test_whoever_goes_while_they_act_is_refused_soon(
    viewers, issuer, database, checking, *, make_user, leave: GoneWay
):
    user_id = await make_user()
    token = issuer.issue(user_id)
    assert await viewers.require(token) == user_id

    await leave(database, user_id)

    async def refused() -> bool:
        return await viewers.find(token) is None

    await eventually(refused, within_s=5)


@pytest.mark.parametrize("user_id", [MAX_ID, MAX_ID + 1, 2**63, 2**64])
async def test_an_id_that_never_was_is_nobody(viewers, issuer, user_id):
    with pytest.raises(Unauthenticated):
        await viewers.require(issuer.issue(user_id))


async def test_a_restored_account_acts_again_at_once(viewers, issuer, database, make_user):
    user_id = await make_user()
    await suspend(database, user_id)
    assert await viewers.find(issuer.issue(user_id)) is None
    async with database.write() as connection:
        await set_account_state(connection, user_id, AccountState.ACTIVE)

    assert await viewers.require(issuer.issue(user_id)) == user_id


async def test_whoever_acts_again_and_again_costs_no_statement(viewers, issuer, make_user):
    token = issuer.issue(await make_user())
    await viewers.require(token)

    with counted_statements() as statements:
        for _ in range(1000):
            await viewers.require(token)

    assert statements == []


async def test_all_who_come_at_once_share_statements(viewers, issuer, make_user):
    tokens = [issuer.issue(await make_user()) for _ in range(50)]

    with counted_statements() as statements:
        await asyncio.gather(*(viewers.require(token) for token in tokens))
        await viewers.check()

    # One look-up for all, then one check for all.
    assert len(statements) == 2


async def test_whoever_pauses_is_looked_at_and_not_new(viewers, issuer, database, make_user):
    user_id = await make_user()
    token = issuer.issue(user_id)
    await viewers.require(token)
    await viewers.check()
    await viewers.check()
    with counted_statements() as statements:
        await viewers.require(token)
    assert statements == []

    await suspend(database, user_id)
    await viewers.check()

    assert await viewers.find(token) is None


async def test_in_a_crowd_those_are_looked_at_who_act(viewers, issuer, make_user, monkeypatch):
    monkeypatch.setattr(identity, "MOST_CHECKED", 1)
    pausing, acting = [issuer.issue(await make_user()) for _ in range(2)]
    await viewers.require(pausing)
    await viewers.check()
    await viewers.require(acting)
    await viewers.check()

    with counted_statements() as statements:
        await viewers.require(acting)
        assert statements == []
        await viewers.require(pausing)

    assert len(statements) == 1


async def test_whoever_rests_is_not_looked_at(viewers, issuer, make_user, monkeypatch):
    monkeypatch.setattr(identity, "RESTS_AFTER_S", 0)
    await viewers.require(issuer.issue(await make_user()))
    await viewers.check()

    with counted_statements() as statements:
        await viewers.check()

    assert statements == []


async def test_while_mysql_is_down_those_who_were_seen_stay_and_others_wait(
    servers, viewers, issuer, make_user, *, monkeypatch
):
    monkeypatch.setattr(identity, "RESTS_AFTER_S", 0)
    busy, resting, stranger = [issuer.issue(await make_user()) for _ in range(3)]
    await viewers.require(resting)
    await viewers.check()
    await viewers.check()
    await viewers.require(busy)
    servers.stop("mysql")
    try:
        with pytest.raises((DependencyUnavailable, DeadlineExceeded)):
            await viewers.check()
        await viewers.require(busy)
        await viewers.require(resting)
        with pytest.raises((DependencyUnavailable, DeadlineExceeded)):
            await viewers.require(stranger)
    finally:
        servers.start("mysql")

    await viewers.check()
    assert await viewers.require(stranger)


async def test_while_mysql_is_frozen_whoever_is_known_does_not_wait(
    servers, viewers, issuer, make_user
):
    token = issuer.issue(await make_user())
    await viewers.require(token)

    with frozen(servers.pid("mysql")):
        async with asyncio.timeout(0.5):
            await viewers.require(token)


async def test_who_was_seen_to_be_gone_is_not_believed_in_an_outage(
    servers, viewers, issuer, *, database, make_user
):
    user_id = await make_user()
    token = issuer.issue(user_id)
    await viewers.require(token)
    await suspend(database, user_id)
    await viewers.check()
    assert await viewers.find(token) is None
    servers.stop("mysql")
    try:
        with pytest.raises((DependencyUnavailable, DeadlineExceeded)):
            await viewers.require(token)
    finally:
        servers.start("mysql")


async def test_who_came_during_a_check_and_was_gone_at_the_next_is_not_believed_in_an_outage(
    servers, viewers, issuer, monkeypatch, *, database, make_user
):
    first, newcomer = await make_user(), await make_user()
    token = issuer.issue(newcomer)
    await viewers.require(issuer.issue(first))

    async def list_while_somebody_comes(*arguments: Any) -> set[int]:
        monkeypatch.undo()
        await viewers.require(token)
        return await list_active_ids(*arguments)

    monkeypatch.setattr(identity, "list_active_ids", list_while_somebody_comes)
    await viewers.check()
    await suspend(database, newcomer)
    await viewers.check()
    servers.stop("mysql")
    try:
        with pytest.raises((DependencyUnavailable, DeadlineExceeded)):
            await viewers.require(token)
    finally:
        servers.start("mysql")


async def test_an_operator_suspends_restores_and_deletes_by_id_or_name(
    settings, viewers, issuer, *, make_user, capsys
):
    operator = AccountSettings(
        log=settings.log, mysql=settings.mysql, redis_actions=settings.redis_actions
    )
    name = "停用 的 人"
    user_id = await make_user(name=name)
    token = issuer.issue(user_id)

    assert await change_account(operator, user_id, AccountState.SUSPENDED) == 0
    assert await viewers.find(token) is None
    assert await change_account(operator, name, AccountState.ACTIVE) == 0
    assert await viewers.find(token) == user_id
    assert await change_account(operator, name, AccountState.DELETED) == 0
    assert await change_account(operator, "nobody has this name", AccountState.DELETED) == 1

    shown = capsys.readouterr()
    assert [line.split()[-1] for line in shown.out.splitlines()] == [
        "suspended",
        "active",
        "deleted",
    ]
    assert "nobody has this name" in shown.err
