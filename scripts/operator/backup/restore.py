"""Puts a backup into an empty system: its servers run, its services do not.

First it compares every file with the manifest. A system that holds anything is refused. All rows come in one transaction, so that a restore
that broke off is repeated with the same command. A backup of an older release is loaded into its own schema, which is then migrated.
Exit status: 0 done, 1 refused, 2 a server is down.
"""

import argparse
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from dal.db import copies
from dal.db.engine import Database
from dal.db.migrate import migrate
from dal.db.schema_version import get_version, newest_version
from dal.redis.client import Redis, open_redis
from pkg.storage import Storage
from scripts.operator.backup import keys, manifest, pending, rows
from scripts.operator.backup.manifest import BackupError, Manifest
from scripts.operator.backup.objects import put_objects
from scripts.operator.backup.settings import BackupSettings, with_all_rows
from scripts.operator.console import run_to_status
from scripts.operator.settings import load_settings


async def check(folder: Path) -> int:
    """Compare a backup with its manifest, and return the exit status.

    Raises:
        BackupError: it is damaged or not whole.
    """
    head = manifest.read_manifest(folder)
    manifest.verify(folder, head)
    print(f"{folder} is whole: made at {head.made_at}, schema {head.schema_version}")
    return 0


async def restore(settings: BackupSettings, folder: Path, *, replace_keys: bool) -> int:
    """Fill an empty system and return the exit status.

    Raises:
        BackupError: the backup or the system cannot be used.
    """
    head = manifest.read_manifest(folder)
    manifest.verify(folder, head)
    if head.schema_version > newest_version():
        raise BackupError(
            f"the backup has schema {head.schema_version}, this release knows {newest_version()}: "
            "use the release that made it, or a later one"
        )
    keys.require_key_ids(head, settings.token, settings.crypt)
    async with AsyncExitStack() as stack:
        database = Database(with_all_rows(settings.mysql))
        stack.push_async_callback(database.close)
        redis = await stack.enter_async_context(open_redis(settings.redis_actions, patient=False))
        storage = await stack.enter_async_context(Storage(settings.storage))
        await _require_empty(database, redis, folder)
        migrate(settings.mysql, to=head.schema_version)
        await _require_schema(database, head)
        for path in keys.install_keys(folder, settings.token, settings.crypt, replace=replace_keys):
            print(f"key: {path}")
        print(f"objects: {await put_objects(storage, folder, head.files)}")
        waiting = await pending.load_pending(
            folder / pending.NAME, redis, newest_action=head.newest_action
        )
        print(f"likes and follows under way: {waiting}")
        print(f"rows: {await _load_rows(database, folder, head)}")
        migrate(settings.mysql)
    print("restored; start the services, then compare the counters with scripts/recount")
    return 0


async def _require_schema(database: Database, head: Manifest) -> None:
    async with database.read_source() as connection:
        found = await get_version(connection)
    if found != head.schema_version:
        raise BackupError(
            f"the database has schema {found}, the backup {head.schema_version}: "
            "give a database without tables"
        )


async def _require_empty(database: Database, redis: Redis, folder: Path) -> None:
    async with database.read_source() as connection:
        if filled := await copies.find_filled_table(connection):
            raise BackupError(
                f"the database is not empty: there are rows in {filled}; "
                "restore goes into an empty system alone"
            )
    await pending.require_no_others(folder / pending.NAME, redis)


async def _load_rows(database: Database, folder: Path, head: Manifest) -> int:
    """Put all rows in at once: other readers see all of them, or none."""
    count = 0
    async with database.write() as connection:
        for table, expected in head.rows.items():
            columns, batches = rows.read_rows(rows.path_of(folder, table))
            loaded = await copies.load_rows(connection, table, columns, batches)
            if loaded != expected:
                raise BackupError(
                    f"{table} has {loaded} rows in its file, {expected} in the manifest"
                )
            count += loaded
    return count


def main() -> int:
    """Entry of scripts/restore."""
    parser = argparse.ArgumentParser(
        prog="scripts/restore",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="a backup that scripts/backup made")
    parser.add_argument("--check", action="store_true", help="only compare it with its manifest")
    parser.add_argument(
        "--replace-keys", action="store_true", help="put its keys over others of the same names"
    )
    options = parser.parse_args()
    try:
        if options.check:
            return run_to_status(check(options.folder), failing="cannot check")
        work = restore(
            load_settings(BackupSettings), options.folder, replace_keys=options.replace_keys
        )
        return run_to_status(work, failing="not restored")
    except BackupError as exc:
        print(f"not restored: {exc}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
