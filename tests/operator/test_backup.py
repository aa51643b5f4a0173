"""Backups while people write, and restores into empty databases."""

import asyncio
import stat
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dal.db import copies
from dal.db.engine import Database, MySQLSettings, open_database
from dal.db.migrate import migrate
from dal.redis.client import Redis
from dal.redis.clock import VersionClock
from dal.redis.keys import register_keys
from dal.redis.pending import PendingActions
from dal.registers.model import Action, ActionType, Kind
from pkg.storage import Bucket, Storage
from scripts.operator.backup import rows
from scripts.operator.backup.manifest import BackupError, read_manifest
from scripts.operator.backup.restore import restore
from scripts.operator.backup.save import save
from scripts.operator.backup.settings import BackupSettings
from scripts.stack import Stack
from services import buckets
from services.user.default_images import ensure_default_images
from tests.accounts import UserFactory
from tests.conftest import AllSettings
from tests.databases import MakeDatabase, making_databases
from tests.operator.conftest import Run
from tests.videos import Videos


@pytest.fixture
def make_database(servers: Stack, settings: AllSettings) -> Iterator[MakeDatabase]:
    with making_databases(servers, settings.mysql) as make:
        yield make


@dataclass
class Product:
    """A product with a database of its own, on the shared servers."""

    settings: BackupSettings
    database: Database
    storage: Storage
    redis: Redis
    videos: Videos

    async def store(self, *items: tuple[Bucket, str], path: Path) -> None:
        await asyncio.to_thread(path.write_bytes, b"content of objects")
        for bucket, key in items:
            await self.storage.put_file(bucket, key, path, "video/mp4")

    async def publish(self, path: Path) -> None:
        """Upload, store and publish a video, and delete the upload, as a worker does."""
        video_id = await self.videos.add_job()
        row = await self.videos.row(video_id)
        await self.store((buckets.VIDEO_UPLOADS_BUCKET, row.upload_key), path=path)
        await self.store(
            (buckets.VIDEOS_BUCKET, row.play_url),
            (buckets.VIDEO_COVERS_BUCKET, row.cover_url),
            path=path,
        )
        claimed = await self.videos.claim()
        assert claimed
        await self.videos.publish(claimed)
        await self.storage.delete(buckets.VIDEO_UPLOADS_BUCKET, row.upload_key)


def with_database(settings: AllSettings, mysql: MySQLSettings) -> BackupSettings:
    names = BackupSettings.model_fields
    values = {name: getattr(settings, name) for name in names if hasattr(settings, name)}
    return BackupSettings.model_construct(**(values | {"mysql": mysql}))


@pytest.fixture
async def product(
    settings: AllSettings, make_database: MakeDatabase, storage: Storage, actions_redis: Any
) -> AsyncIterator[Product]:
    mysql = make_database()
    migrate(mysql)
    await ensure_default_images(storage)
    async with open_database(mysql) as database:
        author = await UserFactory(database)(name="作者😀")
        yield Product(
            with_database(settings, mysql),
            database,
            storage,
            actions_redis,
            Videos(database, author),
        )


@pytest.fixture
def empty(settings: AllSettings, make_database: MakeDatabase) -> BackupSettings:
    return with_database(settings, make_database())


async def read_everything(mysql: MySQLSettings) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows by table."""
    everything = {}
    async with open_database(mysql) as database, database.read_source() as connection:
        for table in await copies.list_tables(connection):
            _, batches = await copies.read_rows(connection, table)
            everything[table] = sorted([tuple(row) async for batch in batches for row in batch])
    return everything


async def test_what_was_saved_is_there_after_a_restore_into_an_empty_system(
    run: Run, product: Product, empty: BackupSettings, tmp_path: Path
):
    await product.publish(tmp_path / "object")
    [play] = [key for key, _ in await _published(product)]
    pending = PendingActions(product.redis, Kind.RELATION)
    version = await VersionClock(product.redis).draw()
    action = Action(product.videos.author_id, 7, version, ActionType.DO)
    await pending.apply_actions([action])
    folder = tmp_path / "backup"

    saved = await run("backup", str(folder), **_named(product.settings))
    await pending.settle([action])
    await product.redis.delete(*register_keys(Kind.RELATION, *action.pair))
    await product.storage.delete(buckets.VIDEOS_BUCKET, play)
    restored = await run("restore", str(folder), **_named(empty))

    assert saved.returncode == 0, saved.stderr
    assert restored.returncode == 0, restored.stderr
    assert await read_everything(empty.mysql) == await read_everything(product.settings.mysql)
    assert await product.storage.exists(buckets.VIDEOS_BUCKET, play)
    assert action in await pending.list_all()
    await pending.settle([action])
    counted = await run("recount", **_named(empty))
    assert counted.stdout == "differences: 0\n"
    for path in (folder, *folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


async def test_a_backup_beside_work_fits_together(
    product: Product, empty: BackupSettings, tmp_path: Path
):
    async def work() -> None:
        while True:
            await product.publish(tmp_path / uuid.uuid4().hex)

    folder = tmp_path / "backup"
    await product.publish(tmp_path / "first")
    working = asyncio.create_task(work())

    status = await save(product.settings, folder)

    working.cancel()
    with suppress(asyncio.CancelledError):
        await working
    assert status == 0
    columns, batches = rows.read_rows(rows.path_of(folder, "videos"))
    videos = [dict(zip(columns, row, strict=True)) for batch in batches for row in batch]
    for video in videos:
        if video["status"] == "published":
            assert (folder / "objects/tiktok-videos" / video["play_url"]).exists()
        elif video["status"] == "processing":
            assert (folder / "objects/tiktok-video-uploads" / video["upload_key"]).exists()
    assert await restore(empty, folder, replace_keys=False) == 0
    async with open_database(empty.mysql) as database:
        restored = Videos(database, product.videos.author_id)
        assert await restored.work_count() == sum(v["status"] == "published" for v in videos)


async def test_a_backup_that_is_damaged_or_not_whole_is_refused(
    product: Product, empty: BackupSettings, tmp_path: Path
):
    folder = tmp_path / "backup"
    await save(product.settings, folder)
    users = rows.path_of(folder, "users")
    whole = users.read_bytes()

    users.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(BackupError, match=r"damaged: .*users\.jsonl\.gz"):
        await restore(empty, folder, replace_keys=False)
    users.unlink()
    with pytest.raises(BackupError, match=r"not whole: .*users\.jsonl\.gz is missing"):
        await restore(empty, folder, replace_keys=False)
    (folder / "manifest.json").unlink()
    with pytest.raises(BackupError, match="there is no manifest"):
        await restore(empty, folder, replace_keys=False)


async def test_a_system_that_holds_anything_is_refused_and_stays_as_it_is(
    product: Product, tmp_path: Path
):
    folder = tmp_path / "backup"
    await save(product.settings, folder)
    before = await read_everything(product.settings.mysql)

    with pytest.raises(BackupError, match="not empty: there are rows in users"):
        await restore(product.settings, folder, replace_keys=True)
    with pytest.raises(BackupError, match="holds a backup already"):
        await save(product.settings, folder)

    assert await read_everything(product.settings.mysql) == before


async def test_a_backup_that_broke_off_goes_on_and_keeps_the_objects_that_it_has(
    product: Product, tmp_path: Path
):
    await product.publish(tmp_path / "object")
    folder = tmp_path / "backup"
    await save(product.settings, folder)
    (folder / "manifest.json").unlink()
    [(play, _)] = await _published(product)
    copy = folder / "objects/tiktok-videos" / play
    written = copy.stat().st_mtime_ns

    assert await save(product.settings, folder) == 0

    assert copy.stat().st_mtime_ns == written
    assert str(copy.relative_to(folder)) in read_manifest(folder).files


async def test_an_object_that_a_row_names_and_nobody_has_is_told(
    product: Product, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    await product.videos.add_published()

    assert await save(product.settings, tmp_path / "backup") == 1

    [(play, _)] = await _published(product)
    assert f"missing in the storage: tiktok-videos/{play}" in capsys.readouterr().err


async def test_a_backup_of_an_older_schema_is_brought_to_the_newest(
    product: Product, empty: BackupSettings, tmp_path: Path
):
    folder = tmp_path / "backup"
    await save(product.settings, folder)
    await take_back_0004(folder)

    assert await restore(empty, folder, replace_keys=False) == 0

    assert await read_everything(empty.mysql) == await read_everything(product.settings.mysql)


async def take_back_0004(folder: Path) -> None:
    """Make a backup one that the release before accounts could be suspended has made."""
    path = rows.path_of(folder, "users")
    columns, batches = rows.read_rows(path)
    place = columns.index("suspended_at")
    older = [[[*row[:place], *row[place + 1 :]] for row in batch] for batch in batches]

    async def replay() -> AsyncIterator[Any]:
        for batch in older:
            yield batch

    del columns[place]
    await rows.write_rows(path, columns, replay())
    head = read_manifest(folder)
    head.schema_version = "0003"
    head.add(folder, path)
    head.write(folder)


async def test_new_actions_win_over_those_of_a_backup_whose_clock_was_ahead(actions_redis: Any):
    clock = VersionClock(actions_redis)
    ahead = await clock.draw() + 1_000_000

    await clock.advance_to(ahead)
    await clock.advance_to(1)

    assert await clock.draw() > ahead


async def _published(product: Product) -> list[tuple[str, str]]:
    async with product.database.read_source() as connection:
        return await copies.list_published_objects(connection)


def _named(settings: BackupSettings) -> dict[str, str]:
    return {"DOUSHENG_MYSQL__DATABASE": settings.mysql.database}
