"""Adds a data key for chat messages and wraps all of them under the RSA pair that `crypt.key_id` names; old messages stay readable.

To replace the RSA pair, first put the new one as `<crypt.private_keys_dir>/<name>.pem` on every machine that runs the message or the
relation service, set `crypt.key_id` to its name, then run this. Running services find both keys by themselves within a minute. The
old pair may be removed afterwards, unless messages of the original were encrypted with it. Exit status: 0 done, 1 a pair is missing,
2 a server is down.
"""

import argparse
import sys

from dal.db.engine import Database, MySQLSettings, open_database
from dal.db.message_keys import insert_data_key, lock_data_keys, replace_wrapping
from pkg.crypt.messages import CryptSettings, WrappingKeys
from pkg.settings import ProcessSettings, SettingsError
from scripts.operator.console import run_to_status
from scripts.operator.settings import load_settings

# One transaction re-wraps every data key.
ROTATION_TIMEOUT_S = 60


class RotateKeysSettings(ProcessSettings):
    mysql: MySQLSettings
    crypt: CryptSettings


async def rotate_keys(database: Database, keys: WrappingKeys) -> tuple[int, int]:
    """Add a data key and wrap all older ones under the current pair, in one transaction.

    Return the new key's id and how many older ones were re-wrapped.

    Raises:
        SettingsError: a pair that wrapped one of them is missing.
    """
    async with database.write(timeout_s=ROTATION_TIMEOUT_S) as connection:
        older = [row for row in await lock_data_keys(connection) if row.pair_id != keys.current_id]
        for row in older:
            wrapped = keys.rewrap(row.wrapped, pair_id=row.pair_id)
            await replace_wrapping(
                connection, key_id=row.id, pair_id=keys.current_id, wrapped=wrapped
            )
        new_id = await insert_data_key(
            connection, pair_id=keys.current_id, wrapped=keys.make_wrapped()
        )
    return new_id, len(older)


async def _run(settings: RotateKeysSettings) -> int:
    async with open_database(settings.mysql, patient=False) as database:
        try:
            keys = WrappingKeys(settings.crypt)
            new_id, rewrapped = await rotate_keys(database, keys)
        except SettingsError as exc:
            print(exc, file=sys.stderr)
            return 1
    print(f"new messages use data key {new_id}, wrapped under the pair {keys.current_id!r}")
    print(f"{rewrapped} older data keys were re-wrapped under it")
    return 0


def main() -> int:
    """Entry of scripts/rotate-keys."""
    argparse.ArgumentParser(
        prog="scripts/rotate-keys",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    return run_to_status(_run(load_settings(RotateKeysSettings)), failing="nothing was changed")


if __name__ == "__main__":
    sys.exit(main())
