"""A takeover that is killed goes on; one that cannot go on, or must not begin, says why and changes nothing."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from dal.db.counters import list_differences
from dal.db.engine import Database, MySQLSettings, open_database
from dal.db.models import Base
from scripts.operator.takeover.step import Step
from scripts.stack import Stack
from tests.conftest import AllSettings
from tests.databases import MakeDatabase, root_cursor
from tests.operator.conftest import Run
from tests.operator.takeover.conftest import Job, Taken, make_job
from tests.operator.takeover.dirt import ALICE

# Different at every run: salts, nonces, keys and what the clock says of the rows themselves.
UNLIKE = frozenset({"password", "content", "updated_at", "created_at"})
# Of one video, which says to be of the future.
UNLIKE_OF_VIDEOS = frozenset({"created_at_ms", "published_at_ms", "play_url", "cover_url"})
UNLIKE_BY_TABLE = {"videos": UNLIKE | UNLIKE_OF_VIDEOS, "users": UNLIKE | {"avatar"}}
UNLIKE_TABLES = frozenset({"message_data_keys"})


class Killed(Exception):
    """The process ended."""


def allow_commits(monkeypatch: pytest.MonkeyPatch, commits: int) -> None:
    """Let the process live for so many transactions, and die in the next one before it is committed."""
    left = [commits]
    write = Database.write.__wrapped__  # type: ignore[attr-defined]

    @asynccontextmanager
    async def write_or_die(self: Database, **options: Any) -> AsyncIterator[AsyncConnection]:
        async with asynccontextmanager(write)(self, **options) as connection:
            yield connection
            if not left[0]:
                raise Killed
            left[0] -= 1

    monkeypatch.setattr(Database, "write", write_or_die)


async def read_everything(mysql: MySQLSettings) -> dict[str, Sequence[Any]]:
    """Return the rows of every table, as far as two takeovers must agree on them."""
    rows: dict[str, Sequence[Any]] = {}
    async with open_database(mysql) as database, database.read_source() as connection:
        for table in Base.metadata.sorted_tables:
            unlike = UNLIKE_BY_TABLE.get(table.name, UNLIKE)
            columns = [column for column in table.columns if column.name not in unlike]
            if table.name not in UNLIKE_TABLES:
                found = await connection.execute(select(*columns).order_by(*table.primary_key))
                rows[table.name] = [tuple(row) for row in found]
    return rows


async def run_until_done(job: Job, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run it again and again, each time for one transaction, and return how often it died in the next one."""
    for deaths in range(100):
        with monkeypatch.context() as patch:
            allow_commits(patch, 1)
            try:
                assert await job.run() == 0
            except Killed:
                continue
        return deaths
    raise AssertionError("it does not get on")


async def test_a_takeover_that_is_killed_in_every_transaction_ends_like_one_that_is_not(
    job: Job, taken: Taken, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    for step in Step.__subclasses__():
        monkeypatch.setattr(step, "rows_per_batch", 6)
    deaths = await run_until_done(job, monkeypatch)

    # As many as there are transactions.
    assert deaths > 30
    found = await read_everything(job.ours.mysql)
    expected = await read_everything(taken.mysql)
    for rows in (found, expected):
        # A video of the future has the time at which each takeover began.
        rows["publication_clock"] = []
        # Follows have no ids of their own.
        rows["relations"] = sorted(row[1:] for row in rows["relations"])
    assert found == expected
    said = capsys.readouterr().out.splitlines()
    without_numbers = [line.split(" is now ")[0] for line in taken.report]
    assert [line.split(" is now ")[0] for line in said] == without_numbers


async def test_one_that_is_done_does_nothing_when_it_is_run_again(
    taken: Taken, capsys: pytest.CaptureFixture[str]
):
    before = await read_everything(taken.mysql)

    assert await taken.job.run() == 0

    assert await read_everything(taken.mysql) == before
    assert capsys.readouterr().out.splitlines() == taken.report


async def test_a_dry_run_writes_nothing(job: Job):
    async with open_database(job.ours.mysql) as database, database.read_source() as connection:
        before = (await connection.execute(text("SHOW TABLES"))).all()
    rows = await read_everything(job.ours.mysql)

    assert await job.run(is_dry=True) == 0

    assert await read_everything(job.ours.mysql) == rows
    async with open_database(job.ours.mysql) as database, database.read_source() as connection:
        assert (await connection.execute(text("SHOW TABLES"))).all() == before


async def refuse(job: Job, capsys: pytest.CaptureFixture[str]) -> str:
    """Return why a run is refused."""
    assert await job.run() == 1
    said = capsys.readouterr()
    assert said.out == ""
    return said.err


async def test_a_database_that_somebody_uses_is_not_filled(
    job: Job, capsys: pytest.CaptureFixture[str]
):
    async with open_database(job.ours.mysql) as database, database.write() as connection:
        await connection.execute(text("INSERT INTO users (user_name, password) VALUES ('me', '')"))

    assert "in use: there are rows in users" in await refuse(job, capsys)


async def test_a_database_that_is_not_the_originals_is_not_read(
    job: Job, capsys: pytest.CaptureFixture[str]
):
    job.change(mysql={"database": job.ours.mysql.database})

    assert "has no" in await refuse(job, capsys)


async def test_a_wrong_zone_is_noticed(job: Job, capsys: pytest.CaptureFixture[str]):
    job.change(time_zone="UTC")

    assert "+8.00 h off" in await refuse(job, capsys)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"time_zone": "Asia/Nowhere"}, "time_zone"),
        ({"message_key": "/nowhere/key.pem"}, "cannot read the RSA key"),
        ({"mysql": {"prot": 1}}, "prot"),
        ({"objects": "move"}, "objects"),
    ],
)
async def test_a_file_that_cannot_be_used_is_refused_with_the_reason(
    job: Job, capsys: pytest.CaptureFixture[str], said: dict[str, Any], reason: str
):
    job.change(**said)

    assert reason in await refuse(job, capsys)


async def test_a_file_that_others_may_read_is_refused(job: Job, capsys: pytest.CaptureFixture[str]):
    job.file.chmod(0o644)

    assert "chmod 600" in await refuse(job, capsys)


async def test_it_does_not_go_on_with_another_original(
    servers: Stack,
    job: Job,
    monkeypatch: pytest.MonkeyPatch,
    *,
    capsys: pytest.CaptureFixture[str],
):
    with monkeypatch.context() as patch:
        allow_commits(patch, 4)
        with pytest.raises(Killed):
            await job.run()
    capsys.readouterr()

    job.change(objects="keep")
    assert "begun with objects: copy" in await refuse(job, capsys)
    job.change(objects="copy")
    with root_cursor(servers) as cursor:
        cursor.execute(f"UPDATE {job.source}.users SET updated_at = NOW(3) WHERE id = {ALICE}")  # noqa: S608
    assert "the original has changed" in await refuse(job, capsys)


async def test_the_published_tables_do_with_and_without_likes_of_comments(
    servers: Stack,
    settings: AllSettings,
    make_database: MakeDatabase,
    *,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    job = make_job(servers, settings, make_database, tmp_path, with_keys=True)
    with root_cursor(servers) as cursor:
        cursor.execute(f"DROP TABLE {job.source}.user_favorite_comments")

    assert await job.run() == 0

    assert "done: start the services" in capsys.readouterr().out


async def test_nobody_looks_at_files_where_keys_are_kept(
    job: Job, capsys: pytest.CaptureFixture[str]
):
    job.change(objects="keep")

    assert await job.run() == 0

    said = capsys.readouterr().out
    assert "left there, will not be seen" in said
    async with open_database(job.ours.mysql) as database:
        assert await list_differences(database) == []
        async with database.read_source() as connection:
            keys = await connection.scalars(text("SELECT play_url FROM videos ORDER BY id LIMIT 2"))
            assert "你好" in keys.all()[1]
            state = await connection.scalar(
                text("SELECT state FROM takeover_progress WHERE step = 'begin'")
            )
    assert json.loads(str(state))["objects"] == "keep"


async def test_the_command_tells_how_far_it_is_and_how_it_ended(run: Run, job: Job):
    ours = {"DOUSHENG_MYSQL__DATABASE": job.ours.mysql.database}

    done = await run("takeover", "--dry-run", str(job.file), **ours)

    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("dry run: nothing was written\n")
    assert "accounts: 11 of 11\n" in done.stderr

    # Nothing listens there.
    job.change(mysql={"port": 1})
    done = await run("takeover", str(job.file), **ours)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("stopped; run it again, and it goes on: mysql")
