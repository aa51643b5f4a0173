"""The settings of UserService's process."""

from dal.redis.client import RedisSettings
from pkg.rpc.server import ServiceSettings
from pkg.settings import Count
from pkg.storage import StorageSettings
from services.foundation import FoundationSettings


class UserSettings(ServiceSettings):
    """The section `user`."""

    max_failures_per_name: Count
    max_failures_per_address: Count
    login_window_s: Count


class UserProcessSettings(FoundationSettings):
    """What the process reads."""

    user: UserSettings
    redis_cache: RedisSettings
    storage: StorageSettings
