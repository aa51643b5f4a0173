"""What an operator's commands print and how they end."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import update

from dal.db.engine import Database
from dal.db.models import User
from dal.redis.pending import PendingActions
from dal.registers.model import Action, ActionType, Kind
from pkg.clock import now_ms
from pkg.mq.connection import BrokerConnection, dead_queue
from pkg.mq.consumer import REASON_HEADER
from pkg.mq.dead_letters import open_dead_letters
from scripts.operator.replay import publishing
from scripts.operator.settings import use_local_stack
from scripts.stack import Stack
from tests.accounts import UserFactory
from tests.conftest import AllSettings
from tests.operator.conftest import Run
from tests.pkg.mq.broker import Broker, count_messages
from tests.pkg.test_message_encryption import make_pair

# Nothing listens there.
NO_NODES = '["127.0.0.1:1"]'
RELATION = Kind.RELATION
JUNK = b"junk of an operator's test"


@pytest.fixture
async def pending(actions_redis) -> AsyncIterator[PendingActions]:
    """Follows, none of them set aside at the beginning and at the end."""
    pending = PendingActions(actions_redis, RELATION)
    await discard_all(pending)
    yield pending
    await discard_all(pending)


async def discard_all(pending: PendingActions) -> None:
    for item in await pending.list_aside():
        await pending.discard(item.action)


async def bury(settings: AllSettings, reason: str) -> None:
    """Make a dead letter."""
    async with publishing(settings.rabbitmq, RELATION) as queue:
        await queue.publish(dead_queue(RELATION.value), JUNK, {REASON_HEADER: reason})


async def count_dead(settings: AllSettings) -> int:
    async with open_dead_letters(settings.rabbitmq, RELATION.value) as dead:
        return await dead.count()


async def purge(settings: AllSettings, queue: str) -> None:
    """Empty a queue that other tests use as well."""
    connection = await BrokerConnection.open(settings.rabbitmq, name="test purge")
    try:
        channel = await connection.open_channel()
        await channel.call(channel.raw.queue_purge, queue)
    finally:
        await connection.close()


async def set_aside(pending: PendingActions, reason: str) -> Action:
    action = Action(1, now_ms(), now_ms() * 1000, ActionType.DO)
    await pending.apply_actions([action])
    assert await pending.set_aside(action, reason)
    return action


async def test_replay_shows_what_went_nowhere_and_changes_nothing(run: Run, settings, pending):
    action = await set_aside(pending, "MySQL said no")
    await bury(settings, "no JSON")

    done = await run("replay", "relation")

    assert done.returncode == 0, done.stderr
    aside, count, letter, letters = done.stdout.splitlines()
    assert f"target {action.target_id}  DO" in aside
    assert aside.endswith("because: MySQL said no")
    assert count == "set aside: 1"
    assert letter == f"dead letter  {JUNK!r}  because: no JSON"
    assert letters == "dead letters: 1"
    assert [item.action for item in await pending.list_aside()] == [action]
    assert await count_dead(settings) == 1
    await purge(settings, dead_queue(RELATION.value))


async def test_replay_discards_what_it_shows(run: Run, settings, pending):
    await set_aside(pending, "MySQL said no")
    await bury(settings, "no JSON")

    done = await run("replay", "relation", "--discard")

    assert done.returncode == 0, done.stderr
    assert "set aside: 1, discarded" in done.stdout
    assert "dead letters: 1, discarded" in done.stdout
    assert await pending.list_aside() == []
    assert await count_dead(settings) == 0


async def test_replay_brings_everything_back_to_where_it_came_from(
    run: Run, servers: Stack, settings, pending
):
    action = await set_aside(pending, "MySQL said no")
    await bury(settings, "no JSON")

    done = await run("replay", "relation", "--run")

    assert done.returncode == 0, done.stderr
    assert "set aside: 1, replayed" in done.stdout
    assert "dead letters: 1, replayed" in done.stdout
    assert action in await pending.list_oldest(1000)
    await pending.settle([action])
    assert await count_dead(settings) == 0
    assert await count_messages(Broker(servers, settings.rabbitmq), RELATION.value) == 1
    await purge(settings, RELATION.value)


async def test_recount_tells_a_wrong_counter_and_fixes_it_when_told_to(
    run: Run, database: Database, make_user: UserFactory
):
    await run("recount", "--fix")
    user_id = await make_user()
    async with database.write() as connection:
        await connection.execute(update(User).where(User.id == user_id).values(follower_count=9))

    found, fixed, again = [await run("recount", *arg) for arg in ([], ["--fix"], [])]

    assert [done.returncode for done in (found, fixed, again)] == [1, 0, 0]
    assert f"users.follower_count     id {user_id:<12} stored 9          rows 0" in found.stdout
    assert found.stdout.endswith("differences: 1\n")
    assert "fixed: 1\ndifferences: 0\n" in fixed.stdout
    assert again.stdout == "differences: 0\n"


async def test_an_account_is_found_by_id_or_name_and_a_number_may_be_a_name(
    run: Run, make_user: UserFactory
):
    digits = str(now_ms())
    user_id = await make_user(name=digits)

    for arguments, state in (
        (["suspend", str(user_id)], "suspended"),
        (["restore", digits, "--name"], "active"),
    ):
        done = await run("account", *arguments)
        assert (done.returncode, done.stdout) == (0, f"id {user_id}  name {digits!r}  {state}\n")


async def test_an_account_that_is_not_there_is_told(run: Run):
    done = await run("account", "delete", "nobody-has-this-name")

    assert done.returncode == 1
    assert done.stderr == "there is no account 'nobody-has-this-name'\n"


async def test_a_rotation_adds_a_key_and_wraps_the_others_under_the_pair_that_is_named(
    run: Run, settings: AllSettings, tmp_path: Path
):
    for path in settings.crypt.private_keys_dir.glob("*.pem"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    make_pair(tmp_path, "m2")
    assert (await run("rotate-keys")).returncode == 0
    there = {"DOUSHENG_CRYPT__PRIVATE_KEYS_DIR": str(tmp_path)}

    done = await run("rotate-keys", **there, DOUSHENG_CRYPT__KEY_ID="m2")
    back = await run("rotate-keys", **there)

    assert done.returncode == 0, done.stderr
    assert "wrapped under the pair 'm2'" in done.stdout
    assert "0 older data keys" not in done.stdout
    assert back.returncode == 0, back.stderr


async def test_a_rotation_without_the_pair_that_is_named_changes_nothing(run: Run):
    done = await run("rotate-keys", DOUSHENG_CRYPT__KEY_ID="lost")

    assert done.returncode == 1
    assert "lost.pem" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("command", "place", "told"),
    [
        (["recount"], {"DOUSHENG_MYSQL__PORT": "1"}, "cannot count"),
        (["account", "suspend", "1"], {"DOUSHENG_MYSQL__PORT": "1"}, "nothing was changed"),
        (["rotate-keys"], {"DOUSHENG_MYSQL__PORT": "1"}, "nothing was changed"),
        (["replay", "favorite"], {"DOUSHENG_REDIS_ACTIONS__NODES": NO_NODES}, "cannot go on"),
        (["replay", "favorite"], {"DOUSHENG_RABBITMQ__NODES": NO_NODES}, "cannot go on"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
async def test_a_server_that_is_down_is_told_in_one_line(
    run: Run, command: list[str], place: dict[str, str], told: str
):
    done = await run(*command, **place)

    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{told}: ")


async def test_a_setting_that_cannot_be_used_is_told_by_its_name(run: Run):
    done = await run("recount", DOUSHENG_MYSQL__PORT="eighty")

    assert done.returncode == 1
    assert "mysql.port" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without settings, put back at the end."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DOUSHENG_")}
    monkeypatch.setattr(os, "environ", kept)


@pytest.mark.usefixtures("no_settings")
def test_without_settings_a_command_takes_those_of_the_stack_beside_it(servers: Stack):
    use_local_stack(servers.site.run_dir)

    assert os.environ.items() >= servers.environment().items()


@pytest.mark.usefixtures("no_settings")
def test_without_settings_and_stack_a_command_tells_what_to_run(tmp_path: Path):
    with pytest.raises(SystemExit, match="run scripts/up first"):
        use_local_stack(tmp_path)
