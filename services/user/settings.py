"""The settings of UserService's process."""

from dal.db.engine import MySQLSettings
from dal.redis.client import RedisSettings
from pkg.rpc.server import ServiceProcessSettings, ServiceSettings
from pkg.settings import Count
from pkg.storage import StorageSettings
from pkg.token import TokenSettings


class UserSettings(ServiceSettings):
    """The section `user`."""

    max_failures_per_name: Count
    max_failures_per_address: Count
    login_window_s: Count


class UserProcessSettings(ServiceProcessSettings):
    """What the process reads."""

    user: UserSettings
    mysql: MySQLSettings
    redis_cache: RedisSettings
    redis_actions: RedisSettings
    storage: StorageSettings
    token: TokenSettings
