"""Each thing that can be wrong is made so, and found."""

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from dal.db.counters import list_differences, sample_differences
from dal.db.engine import Database
from dal.db.models import User
from dal.redis.client import open_redis
from dal.redis.pending import PendingActions
from dal.registers.model import Action, ActionType, Kind
from pkg.clock import now_ms
from pkg.mq.depth import measure_queues
from pkg.rpc.tls import RpcSettings
from pkg.storage import Storage, random_key
from scripts.operator.doctor import actions, certificates, clocks, keys, rabbitmq
from scripts.operator.doctor.finding import Finding
from scripts.operator.doctor.storage import look_at_objects
from scripts.operator.doctor.target import Target
from scripts.stack.authority import Authority
from services.buckets import VIDEO_COVERS_BUCKET
from tests.accounts import UserFactory
from tests.certificates import SUBJECTS, Certificates
from tests.operator.test_commands import bury, discard_all, purge, set_aside
from tests.pkg.test_message_encryption import make_pair
from tests.videos import Videos

RELATION = Kind.RELATION
YEAR_AND_A_DAY_S = 366 * 86_400
# More than any test leaves.
EVERYTHING = 100_000


def subjects(findings: Sequence[Finding]) -> list[str]:
    return [finding.subject for finding in findings]


async def test_a_dead_letter_is_told_with_the_command_that_shows_it(target: Target, settings):
    await bury(settings, "no JSON")

    (finding,) = await rabbitmq.look_at_dead_letters(target)
    await purge(settings, "relation.dead")

    assert finding.evidence == "1 in relation.dead"
    assert finding.next_command == "scripts/replay relation"
    assert await rabbitmq.look_at_dead_letters(target) == []


async def test_a_queue_that_nobody_reads_is_told(target: Target, settings):
    await bury(settings, "no JSON")
    await purge(settings, "relation.dead")

    (finding,) = await rabbitmq.look_at_queue(RELATION)(target)

    assert (finding.subject, finding.what) == ("queue relation", "is read by nobody")


async def test_looking_at_queues_makes_none(target: Target):
    for _ in range(2):
        assert await measure_queues(target.settings.rabbitmq, ["never-made"]) == {
            "never-made": None
        }


async def test_an_action_that_was_set_aside_is_told(target: Target, actions_redis):
    pending = PendingActions(actions_redis, RELATION)
    await discard_all(pending)
    await set_aside(pending, "MySQL said no")

    (finding,) = await actions.look_at_aside(target)
    await discard_all(pending)

    assert (finding.subject, finding.evidence) == ("actions of relation", "1")
    assert await actions.look_at_aside(target) == []


async def test_an_action_that_does_not_become_a_row_is_told_with_its_age(target: Target):
    minute_ago = Action(1, now_ms(), (now_ms() - 60_000) * 1000, ActionType.DO)
    async with open_redis(target.settings.redis_actions) as redis:
        pending = PendingActions(redis, RELATION)
        await pending.apply_actions([minute_ago])
        (finding,) = await actions.look_at_pending(RELATION)(target)
        await pending.settle([minute_ago])

    assert finding.subject == "pending actions of relation"
    assert "the oldest for 6" in finding.evidence


async def test_a_sample_as_large_as_the_tables_finds_every_wrong_counter(
    database: Database, make_user: UserFactory
):
    user_id = await make_user()
    async with database.write() as connection:
        await connection.execute(update(User).where(User.id == user_id).values(follower_count=9))

    found = await sample_differences(database, size=EVERYTHING)

    assert user_id in {item.id for item in found}
    assert set(found) == set(await list_differences(database))
    async with database.write() as connection:
        await connection.execute(update(User).where(User.id == user_id).values(follower_count=0))


async def test_a_sample_of_one_row_looks_at_one_row_of_each_table(database: Database):
    found = await sample_differences(database, size=1)

    assert len({(item.counter.partition(".")[0], item.id) for item in found}) <= 3


async def test_a_published_video_whose_file_is_missing_is_told(
    target: Target, storage: Storage, make_user: UserFactory, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("scripts.operator.doctor.storage.SAMPLE", EVERYTHING)
    await Videos(target.database, await make_user()).add_published()

    assert "objects that rows name" in subjects(await look_at_objects(target))


async def test_an_object_without_a_row_is_told_once_it_is_old(
    target: Target, storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = tmp_path / "cover.jpg"
    file.write_bytes(b"picture")
    key = random_key(".jpg")
    await storage.put_file(VIDEO_COVERS_BUCKET, key, file, "image/jpeg")
    monkeypatch.setattr("scripts.operator.doctor.storage.SAMPLE", EVERYTHING)

    young = await look_at_objects(target)
    monkeypatch.setattr("scripts.operator.doctor.storage.YOUNG", timedelta(seconds=-5))
    old = await look_at_objects(target)
    await storage.delete(VIDEO_COVERS_BUCKET, key)

    assert "objects in the storage" not in subjects(young)
    assert "objects in the storage" in subjects(old)


async def test_clocks_of_one_machine_agree_and_one_that_is_off_is_told(
    target: Target, monkeypatch: pytest.MonkeyPatch
):
    assert await clocks.look_at_clocks(target) == []

    there = time.time
    monkeypatch.setattr("scripts.operator.doctor.clocks.time.time", lambda: there() - 600)
    found = await clocks.look_at_clocks(target)

    assert subjects(found) == [
        f"clock of {role}" for role in ("mysql", "redis-actions", "redis-cache", "storage")
    ]
    assert all("ahead of this machine" in finding.evidence for finding in found)


async def test_a_certificate_that_ends_soon_is_told_and_others_are_not(
    target: Target, tmp_path: Path
):
    made = Certificates(tmp_path)
    Authority(tmp_path).issue(SUBJECTS["user"], days=5)
    rpc = {
        name: RpcSettings(tls=made.files(name), require_caller_certificate=True)
        for name in ("user", "video")
    }

    async def look(name: str) -> Sequence[Finding]:
        settings = target.settings.model_copy(update={"rpc": rpc[name]})
        return await certificates.look_at_certificates(replace(target, settings=settings))

    (finding,) = await look("user")
    assert finding.subject == f"certificate {tmp_path / 'user.pem'}"
    assert finding.what in {"ends in 4 days", "ends in 5 days"}
    assert await look("video") == []


async def test_a_token_key_that_is_missing_or_old_is_told(target: Target, tmp_path: Path):
    token = target.settings.token.model_copy(update={"public_keys_dir": tmp_path})
    moved = replace(target, settings=target.settings.model_copy(update={"token": token}))
    path = tmp_path / f"{token.key_id}.pem"

    (missing,) = await keys.look_at_token_keys(moved)
    path.write_text("a key")
    fresh = await keys.look_at_token_keys(moved)
    os.utime(path, (time.time(), time.time() - YEAR_AND_A_DAY_S))
    (old,) = await keys.look_at_token_keys(moved)

    assert (missing.what, fresh, old.what) == ("is missing", [], "is old")


async def test_a_pair_of_messages_that_is_missing_or_open_to_others_is_told(
    target: Target, tmp_path: Path
):
    make_pair(tmp_path, "m2")
    (tmp_path / "m2.pem").chmod(0o644)
    crypt = target.settings.crypt.model_copy(
        update={"private_keys_dir": tmp_path, "key_id": "lost"}
    )
    moved = replace(target, settings=target.settings.model_copy(update={"crypt": crypt}))

    found = {item.subject: item for item in await keys.look_at_message_keys(moved)}

    assert found[f"private key {tmp_path / 'm2.pem'}"].next_command.startswith("chmod 600 ")
    assert "lost" in found["message keys"].evidence
