"""Checks every counter against its rows, also under load. Exit status: 0 all counters are right, 1 differences are left, 2 a server is down."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial

from dal.db.counters import Difference, fix_differences, list_differences
from dal.db.engine import MySQLSettings, open_database, retry_conflicts
from dal.redis.client import RedisSettings
from pkg.settings import ProcessSettings
from scripts.operator.announcing import announce_everything
from scripts.operator.console import run_to_status
from scripts.operator.settings import load_settings, with_long_statements


class RecountSettings(ProcessSettings):
    mysql: MySQLSettings
    redis_actions: RedisSettings


async def recount(settings: RecountSettings, *, fix: bool) -> int:
    """Print the differences, fix them if told to, and return the exit status."""
    async with open_database(with_long_statements(settings.mysql), patient=False) as database:
        differences = await list_differences(database)
        show(differences)
        if not differences or not fix:
            return 1 if differences else 0
        changed = await retry_conflicts(partial(fix_differences, database, differences))
        await announce_everything(settings.redis_actions)
        print(f"fixed: {changed}")
        left = await list_differences(database)
        show(left)
        return 1 if left else 0


def show(differences: Sequence[Difference]) -> None:
    """Print one line for each difference and how many there are."""
    for item in differences:
        print(f"{item.counter:<24} id {item.id:<12} stored {item.stored:<10} rows {item.counted}")
    print(f"differences: {len(differences)}")


def main() -> int:
    """Entry of scripts/recount."""
    parser = argparse.ArgumentParser(prog="scripts/recount", description=__doc__)
    parser.add_argument(
        "--fix", action="store_true", help="set wrong counters to what the rows say"
    )
    options = parser.parse_args()
    work = recount(load_settings(RecountSettings), fix=options.fix)
    return run_to_status(work, failing="cannot count")


if __name__ == "__main__":
    sys.exit(main())
