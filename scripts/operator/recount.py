"""Checks every counter against its rows, also under load. Exit status: 0 all right, 1 differences are left, 2 a server is down."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from functools import partial

from dal.db.counters import Difference, find_differences, fix_differences
from dal.db.engine import open_database, retry_conflicts
from pkg.errors import DeadlineExceeded, DependencyUnavailable
from scripts.operator.console import quiet_logs
from scripts.operator.settings import OperatorSettings, load_settings, patient


async def recount(settings: OperatorSettings, *, fix: bool) -> int:
    """Print the differences, fix them if told to, and return the exit status."""
    async with open_database(patient(settings.mysql)) as database:
        differences = await find_differences(database)
        show(differences)
        if not differences or not fix:
            return 1 if differences else 0
        changed = await retry_conflicts(partial(fix_differences, database, differences))
        print(f"fixed: {changed}")
        left = await find_differences(database)
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
    quiet_logs()
    try:
        return asyncio.run(recount(load_settings(), fix=options.fix))
    except (DependencyUnavailable, DeadlineExceeded) as exc:
        print(f"cannot count: {exc.detail or exc}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
