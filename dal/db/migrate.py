"""Brings the database to the current schema: `python -m dal.db.migrate`. Safe to run again, also twice at once.

A migration that was killed goes on where it was; see migrations/journal.py.
"""

import asyncio
import sys
import time
from pathlib import Path

from alembic import command
from alembic.config import Config
from loguru import logger
from sqlalchemy import Connection, text
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError

from dal.db.connections import MySQLSettings, make_blocking_engine
from dal.db.engine import Database
from pkg.errors import DomainError
from pkg.log import setup_logging
from pkg.settings import ProcessSettings, SettingsError
from pkg.startup import wait_until_available

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK_NAME = "dousheng_migration"
LOCK_TIMEOUT_S = 60
WAIT_FOR_SERVER_S = 60
LOST = (OperationalError, InterfaceError, InternalError)


class MigrateSettings(ProcessSettings):
    mysql: MySQLSettings


def make_alembic_config(connection: Connection) -> Config:
    """Return Alembic's configuration, bound to an open connection."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def migrate(settings: MySQLSettings) -> None:
    """Upgrade to the newest schema under a lock that a second migration waits for.

    Raises:
        OperationalError: the server is down or refuses.
    """
    with make_blocking_engine(settings).connect() as connection:
        locked = connection.scalar(
            text("SELECT GET_LOCK(:name, :timeout)"),
            {"name": LOCK_NAME, "timeout": LOCK_TIMEOUT_S},
        )
        if not locked:
            raise TimeoutError("another migration is still running")
        command.upgrade(make_alembic_config(connection), "head")
        connection.commit()


def main() -> None:
    """Migrate, waiting a while for a server that is just starting."""
    try:
        settings = MigrateSettings.load()
    except SettingsError as exc:
        sys.exit(str(exc))
    setup_logging(settings.log, process="migrate")
    deadline = time.monotonic() + WAIT_FOR_SERVER_S
    while True:
        try:
            waiting = wait_for_source(settings.mysql, deadline - time.monotonic())
            migrate(asyncio.run(waiting))
        except (TimeoutError, DomainError) as exc:
            sys.exit(f"cannot migrate: {exc or 'mysql is not there'}")
        except LOST as exc:
            # The server went away in the middle: wait for it, and go on.
            if time.monotonic() > deadline:
                sys.exit(f"cannot migrate: {exc.orig}")
            logger.bind(error=str(exc.orig)).warning("migration interrupted")
            time.sleep(1)
        else:
            logger.info("database is up to date")
            return


async def wait_for_source(settings: MySQLSettings, timeout_s: float) -> MySQLSettings:
    """Wait until MySQL answers; return the settings of the server that takes writes.

    By the driver of the services, which has a deadline for every step of connecting.

    Raises:
        TimeoutError: it does not.
    """
    database = Database(settings)

    async def ask() -> str:
        await database.find_source()
        async with database.read_source() as connection:
            await connection.execute(text("SELECT 1"))
        return database.source_address

    try:
        async with asyncio.timeout(timeout_s):
            source = await wait_until_available("mysql", ask)
    finally:
        await database.close()
    host, _, port = source.rpartition(":")
    return settings.model_copy(update={"host": host, "port": int(port)})


if __name__ == "__main__":
    main()
