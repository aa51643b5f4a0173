"""Brings the database to the current schema: `python -m dal.db.migrate`. Safe to run again, also twice at once."""

import sys
import time
from pathlib import Path

from alembic import command
from alembic.config import Config
from loguru import logger
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from dal.db.engine import MySQLSettings, encode_password, make_url
from pkg.log import setup_logging
from pkg.settings import ProcessSettings, SettingsError

LOCK_NAME = "dousheng_migration"
LOCK_TIMEOUT_S = 60
WAIT_FOR_SERVER_S = 60


class MigrateSettings(ProcessSettings):
    mysql: MySQLSettings


def make_alembic_config(connection: Connection) -> Config:
    """Return Alembic's configuration, bound to an open connection."""
    config = Config(toml_file=Path(__file__).parents[2] / "pyproject.toml")
    config.attributes["connection"] = connection
    return config


def migrate(settings: MySQLSettings) -> None:
    """Upgrade to the newest schema under a lock that a second migration waits for.

    Raises:
        OperationalError: the server is down or refuses.
    """
    url = make_url(settings, driver="pymysql", host=settings.host, port=settings.port)
    engine = create_engine(
        url,
        poolclass=NullPool,
        hide_parameters=True,
        connect_args={"password": encode_password(settings)},
    )
    with engine.connect() as connection:
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
            migrate(settings.mysql)
        except OperationalError as exc:
            if time.monotonic() > deadline:
                sys.exit(f"cannot migrate: {exc.orig}")
            logger.bind(error=str(exc.orig)).warning("waiting for mysql")
            time.sleep(1)
        else:
            logger.info("database is up to date")
            return


if __name__ == "__main__":
    main()
