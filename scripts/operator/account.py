"""Suspends, deletes or restores an account. Within 5 s whoever is logged in may no longer act, or may again.

A suspended account cannot log in or act; its profile, videos and comments stay as they are. A deleted one is unknown as well: its videos
and comments stay under the card of a deleted user, and nobody else gets its name. `restore` takes back both. Exit status: 0 done,
1 there is no such account, 2 a server is down.
"""

import argparse
import sys

from dal.db.accounts import Account, AccountState, find_account, set_account_state
from dal.db.engine import MySQLSettings, open_database
from dal.redis.client import RedisSettings
from pkg.settings import ProcessSettings
from scripts.operator.announcing import announce_everything
from scripts.operator.console import run_to_status
from scripts.operator.settings import load_settings

STATES = {
    "suspend": AccountState.SUSPENDED,
    "restore": AccountState.ACTIVE,
    "delete": AccountState.DELETED,
}


class AccountSettings(ProcessSettings):
    mysql: MySQLSettings
    redis_actions: RedisSettings


async def change_account(settings: AccountSettings, who: int | str, state: AccountState) -> int:
    """Put the account into the state, print what it is now, and return the exit status."""
    async with (
        open_database(settings.mysql, patient=False) as database,
        database.write() as connection,
    ):
        account = await find_account(connection, who)
        if account is None:
            print(f"there is no account {who!r}", file=sys.stderr)
            return 1
        await set_account_state(connection, account.id, state)
        changed = await find_account(connection, account.id)
    await announce_everything(settings.redis_actions)
    show(changed or account)
    return 0


def show(account: Account) -> None:
    """Print one line for an account."""
    print(f"id {account.id}  name {account.name!r}  {account.state}")


def main() -> int:
    """Entry of scripts/account."""
    parser = argparse.ArgumentParser(prog="scripts/account", description=__doc__)
    parser.add_argument("action", choices=list(STATES))
    parser.add_argument("account", metavar="ID|NAME", help="digits alone are an id")
    parser.add_argument("--name", action="store_true", help="it is a name, also where it is digits")
    options = parser.parse_args()
    is_id = options.account.isascii() and options.account.isdigit() and not options.name
    who = int(options.account) if is_id else options.account
    settings = load_settings(AccountSettings)
    work = change_account(settings, who, STATES[options.action])
    return run_to_status(work, failing="nothing was changed")


if __name__ == "__main__":
    sys.exit(main())
