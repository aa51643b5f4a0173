"""Turns a database of the Go original into ours: reads the original's, which stays as it is, and fills ours, which is migrated and empty.

FILE says where the original is; see "Taking over the original's database" in scripts/README.md. Stop the original first. It may be
killed at any time and goes on when it is run again. Exit status: 0 done, 1 refused, 2 a server is down.
"""

import argparse
import os
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from dal.db.engine import open_database
from dal.db.takeover.original import NotTheOriginal, OriginalDatabase
from dal.db.takeover.progress import AnotherTakeover
from pkg.settings import SettingsError
from pkg.storage_copies import CopyingStorage
from scripts.operator.console import run_to_status
from scripts.operator.settings import load_settings, with_long_statements
from scripts.operator.takeover.objects import Objects, OtherStorage, SameStorage
from scripts.operator.takeover.settings import OriginalSettings, OurSettings, load_original, patient
from scripts.operator.takeover.takeover import Refused, Takeover

REFUSED = 1


async def take_over(ours: OurSettings, file: Path, *, is_dry: bool, threads: int) -> int:
    """Do it, or say what it would do; return the exit status."""
    try:
        original = load_original(file)
        async with AsyncExitStack() as stack:
            source = OriginalDatabase(original.find_mysql(ours.mysql))
            stack.push_async_callback(source.close)
            target = await stack.enter_async_context(
                open_database(with_long_statements(ours.mysql), patient=False)
            )
            objects = await stack.enter_async_context(open_objects(ours, original))
            pool = stack.enter_context(ThreadPoolExecutor(threads, thread_name_prefix="takeover"))
            takeover = Takeover(
                source, target, settings=original, crypt=ours.crypt, objects=objects, threads=pool
            )
            await (takeover.try_out() if is_dry else takeover.run())
    except (SettingsError, NotTheOriginal, Refused) as exc:
        print(f"refused: {exc}", file=sys.stderr)
        return REFUSED
    except AnotherTakeover:
        print("refused: another takeover is filling this database", file=sys.stderr)
        return REFUSED
    return 0


@asynccontextmanager
async def open_objects(
    ours: OurSettings, original: OriginalSettings
) -> AsyncIterator[Objects | None]:
    """Give the original's objects; None where nobody is to look at them."""
    if original.objects == "keep":
        yield None
        return
    elsewhere = original.find_storage(ours.storage)
    async with AsyncExitStack() as stack:
        storage = await stack.enter_async_context(CopyingStorage(patient(ours.storage)))
        if elsewhere is None:
            yield SameStorage(storage)
        else:
            yield OtherStorage(storage, await stack.enter_async_context(CopyingStorage(elsewhere)))


def main() -> int:
    """Entry of scripts/takeover."""
    parser = argparse.ArgumentParser(prog="scripts/takeover", description=__doc__)
    parser.add_argument(
        "file", metavar="FILE", type=Path, help="a .yml file, readable by you alone"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="write nothing, and tell what would be done"
    )
    parser.add_argument(
        "--threads",
        type=int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="how many read messages and hash passwords at once; as many as there are cores",
    )
    options = parser.parse_args()
    if options.threads < 1:
        parser.error("--threads must be at least 1")
    work = take_over(
        load_settings(OurSettings), options.file, is_dry=options.dry_run, threads=options.threads
    )
    return run_to_status(work, failing="stopped; run it again, and it goes on")


if __name__ == "__main__":
    sys.exit(main())
