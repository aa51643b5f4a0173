"""Replicas, and which of them may be read."""

from loguru import logger
from sqlalchemy import text

from dal.db.connections import AUTOCOMMIT, MySQLSettings, make_engine
from dal.db.errors import opened, translated_errors

REPLICA_CHECK_INTERVAL_S = 1.0


class Replica:
    """One replica and whether it may be read."""

    def __init__(self, settings: MySQLSettings, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.address = address
        self._timeout_s = settings.connect_timeout_s
        self._max_lag_s = settings.max_replica_lag_s
        self.engine = make_engine(settings, host, int(port), AUTOCOMMIT)
        self.is_healthy = False

    async def check(self) -> None:
        """Ask the replica how far behind it is."""
        try:
            async with (
                translated_errors(self._timeout_s),
                opened(self.engine.connect()) as connection,
            ):
                result = await connection.execute(text("SHOW REPLICA STATUS"))
                row = result.mappings().one_or_none()
            # MySQL and MariaDB name the same column differently; NULL means that replication stands still.
            status = dict(row) if row else {}
            lag = status.get("Seconds_Behind_Source", status.get("Seconds_Behind_Master"))
            healthy = lag is not None and int(lag) <= self._max_lag_s
        except Exception as exc:  # noqa: BLE001 - whatever it answers: it is not to be read
            logger.bind(replica=self.address, cause=repr(exc)).debug("replica not healthy")
            healthy = False
        if healthy != self.is_healthy:
            logger.bind(replica=self.address, healthy=healthy).warning("replica health changed")
        self.is_healthy = healthy
