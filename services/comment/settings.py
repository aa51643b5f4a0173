"""The settings of CommentService's process."""

from zoneinfo import ZoneInfo

from dal.db.engine import MySQLSettings
from dal.redis.client import RedisSettings
from pkg.rpc.server import ServiceProcessSettings, ServiceSettings
from pkg.token import TokenSettings


class CommentSettings(ServiceSettings):
    """The section `comment`."""

    display_time_zone: ZoneInfo  # in which create_date is written


class CommentProcessSettings(ServiceProcessSettings):
    """What the process reads."""

    comment: CommentSettings
    mysql: MySQLSettings
    redis_actions: RedisSettings
    token: TokenSettings
