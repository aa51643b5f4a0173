"""Makes a backup of the whole product while it runs: rows, likes and follows under way, objects and keys, into one folder.

The order makes them fit together (decision S15): likes and follows first, then one snapshot of all rows, then the objects and keys that
those rows name. A backup that broke off goes on when the command runs again with the same folder. The folder holds every secret of the
product: keep it as you keep the keys. Exit status: 0 done, 1 refused, or a row names an object that the storage does not have, 2 a server
is down.
"""

import argparse
import asyncio
import os
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from dal.db import copies
from dal.db.engine import Database, open_database
from dal.db.message_keys import list_wrapping_pairs
from dal.db.schema_version import get_version
from dal.redis.client import Redis, open_redis
from dal.registers.model import Kind
from pkg.mq.depth import count_waiting
from pkg.storage import Storage
from scripts.operator.backup import keys, manifest, pending, rows
from scripts.operator.backup.manifest import BackupError, Manifest
from scripts.operator.backup.objects import StoredObject, save_objects
from scripts.operator.backup.settings import BackupSettings, with_all_rows
from scripts.operator.console import run_to_status
from scripts.operator.settings import load_settings
from scripts.private_files import make_private_dir
from services import buckets

# Consumers empty the queues in milliseconds; longer means that they do not run.
QUEUES_EMPTY_WITHIN_S = 30.0
LOOK_AGAIN_S = 0.05
# A snapshot is taken again when an upload that it shows as waiting was published before its file could be copied.
MOST_SNAPSHOTS = 10


@dataclass(frozen=True)
class Servers:
    """What a backup reads."""

    settings: BackupSettings
    database: Database
    redis: Redis
    storage: Storage


async def save(settings: BackupSettings, folder: Path) -> int:
    """Make the backup and return the exit status.

    Raises:
        BackupError: it cannot be made.
    """
    manifest.open_new(folder)
    async with AsyncExitStack() as stack:
        servers = Servers(
            settings,
            await stack.enter_async_context(
                open_database(with_all_rows(settings.mysql), patient=False)
            ),
            await stack.enter_async_context(open_redis(settings.redis_actions, patient=False)),
            await stack.enter_async_context(Storage(settings.storage)),
        )
        for _ in range(MOST_SNAPSHOTS):
            made = await _save_once(servers, folder)
            if made is not None:
                return _tell(made, folder)
    raise BackupError("uploads are published faster than they can be copied; try again later")


async def _save_once(servers: Servers, folder: Path) -> Manifest | None:
    """Save everything as of one snapshot; None where an upload was published under our hands."""
    settings = servers.settings
    head = Manifest(
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        schema_version="",
        token_key_id=settings.token.key_id,
        crypt_key_id=settings.crypt.key_id,
    )
    async with servers.database.read_source() as connection:
        await _save_uploads(servers, folder, connection)
    await _wait_for_empty_queues(servers)
    newest_pending = await pending.write_pending(folder / pending.NAME, servers.redis)
    head.add(folder, folder / pending.NAME)
    async with copies.open_snapshot(servers.database) as snapshot:
        uploads = await _save_uploads(servers, folder, snapshot)
        if None in uploads.values():
            print("an upload was published meanwhile; taking the snapshot again")
            return None
        for path in filter(None, uploads.values()):
            head.add(folder, path)
        head.newest_action = max(newest_pending, await copies.find_newest_action(snapshot))
        await _save_rows(snapshot, folder, head)
        objects = await _list_objects(snapshot)
        for path in keys.save_keys(folder, settings.token, settings.crypt):
            head.add(folder, path)
        keys.require_message_keys(folder, await list_wrapping_pairs(snapshot))
    async for item, found in save_objects(servers.storage, folder, objects):
        if found is None:
            head.missing.append(item.name)
        else:
            head.add(folder, found)
    head.write(folder)
    return head


async def _wait_for_empty_queues(servers: Servers) -> None:
    """Wait until what was accepted has reached Redis.

    Raises:
        BackupError: it does not, because no consumer runs.
    """
    deadline = time.monotonic() + QUEUES_EMPTY_WITHIN_S
    while waiting := await count_waiting(servers.settings.rabbitmq, list(Kind)):
        if time.monotonic() > deadline:
            raise BackupError(
                f"{waiting} likes or follows wait in the queues and nobody takes them; "
                "start the favorite and relation services, then try again"
            )
        await asyncio.sleep(LOOK_AGAIN_S)


async def _save_uploads(
    servers: Servers, folder: Path, connection: AsyncConnection
) -> dict[StoredObject, Path | None]:
    """Copy the files of uploads that wait to be published; they are deleted soon after."""
    waiting = [
        StoredObject(buckets.VIDEO_UPLOADS_BUCKET, key)
        for key in await copies.list_uploads_in_work(connection)
    ]
    saving = save_objects(servers.storage, folder, waiting)
    return {item: path async for item, path in saving}


async def _save_rows(snapshot: AsyncConnection, folder: Path, head: Manifest) -> None:
    head.schema_version = await get_version(snapshot)
    make_private_dir(folder / rows.NAME)
    for table in await copies.list_tables(snapshot):
        columns, batches = await copies.read_rows(snapshot, table)
        path = rows.path_of(folder, table)
        head.rows[table] = await rows.write_rows(path, columns, batches)
        head.add(folder, path)


async def _list_objects(snapshot: AsyncConnection) -> list[StoredObject]:
    """Return every object that a row names for people to see."""
    published = await copies.list_published_objects(snapshot)
    avatars, backgrounds = await copies.list_pictures(snapshot)
    return [
        *(StoredObject(buckets.VIDEOS_BUCKET, play) for play, _ in published),
        *(StoredObject(buckets.VIDEO_COVERS_BUCKET, cover) for _, cover in published),
        *(StoredObject(buckets.USER_AVATARS_BUCKET, key) for key in avatars),
        *(StoredObject(buckets.USER_BACKGROUNDS_BUCKET, key) for key in backgrounds),
    ]


def _tell(head: Manifest, folder: Path) -> int:
    objects = sum(name.startswith("objects/") for name in head.files)
    size_mb = sum(facts.size_bytes for facts in head.files.values()) / 1_000_000
    print(f"rows: {sum(head.rows.values())} of schema {head.schema_version}")
    print(f"objects: {objects}, files: {len(head.files)}, {size_mb:.1f} MB")
    print(f"{folder} is whole; it holds keys and everybody's data, readable by its owner alone")
    for name in head.missing:
        print(f"missing in the storage: {name}", file=sys.stderr)
    return 1 if head.missing else 0


def main() -> int:
    """Entry of scripts/backup."""
    parser = argparse.ArgumentParser(
        prog="scripts/backup",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="where the backup goes: a new folder")
    options = parser.parse_args()
    # Everything that is made from here on is readable by its owner alone, also while it is written.
    os.umask(0o077)
    try:
        settings = load_settings(BackupSettings)
        return run_to_status(save(settings, options.folder), failing="there is no whole backup")
    except BackupError as exc:
        print(f"there is no whole backup: {exc}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
