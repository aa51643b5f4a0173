"""Settings of the scripts that work on the servers of the running stack."""

import os
import sys

from dal.db.engine import MySQLSettings
from dal.redis.client import RedisSettings
from pkg.mq.connection import RabbitMQSettings
from pkg.settings import ProcessSettings, SettingsError
from scripts.stack import Stack

# A person can wait; a big table may need it.
STATEMENT_TIMEOUT_S = 600.0


class OperatorSettings(ProcessSettings):
    """The servers that hold likes and follows."""

    mysql: MySQLSettings
    redis_actions: RedisSettings
    rabbitmq: RabbitMQSettings


def load_settings() -> OperatorSettings:
    """Return the settings of the environment, or those of the local stack where it has none."""
    if not any(name.startswith("DOUSHENG_MYSQL__") for name in os.environ):
        os.environ.update(Stack().environment())
    try:
        return OperatorSettings.load()
    except SettingsError as exc:
        sys.exit(str(exc))


def patient(mysql: MySQLSettings) -> MySQLSettings:
    """Return the same server with a deadline for long statements."""
    return mysql.model_copy(update={"statement_timeout_s": STATEMENT_TIMEOUT_S})
