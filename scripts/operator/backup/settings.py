"""What a backup and a restore have to know, and how long they may take."""

from dal.db.engine import MySQLSettings
from dal.redis.client import RedisSettings
from pkg.crypt.messages import CryptSettings
from pkg.mq.connection import RabbitMQSettings
from pkg.settings import ProcessSettings
from pkg.storage import StorageSettings
from pkg.token import TokenSettings

# All rows are read, or written, in one transaction.
ALL_ROWS_TIMEOUT_S = 12 * 3600.0


class BackupSettings(ProcessSettings):
    """Every server and key of the product that keeps something."""

    mysql: MySQLSettings
    redis_actions: RedisSettings
    rabbitmq: RabbitMQSettings
    storage: StorageSettings
    token: TokenSettings
    crypt: CryptSettings


def with_all_rows(mysql: MySQLSettings) -> MySQLSettings:
    """Return the same server with a deadline for a transaction over all rows."""
    return mysql.model_copy(update={"statement_timeout_s": ALL_ROWS_TIMEOUT_S})
