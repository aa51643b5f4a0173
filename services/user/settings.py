"""The settings of UserService's process."""

from dal.redis.client import RedisSettings
from pkg.crypt import HashingSettings
from pkg.rpc.server import ServiceSettings
from pkg.settings import Count
from pkg.storage import StorageSettings
from services.foundation import FoundationSettings


class UserSettings(ServiceSettings):
    """The section `user`."""

    max_failures_per_name: Count
    """How many logins of one name may fail within `login_window_s` before the next is refused with 429."""
    max_failures_per_address: Count
    """The same for one address; an IPv6 /64 is one."""
    login_window_s: Count
    """How long a failed login is counted."""
    hashing: HashingSettings


class UserProcessSettings(FoundationSettings):
    """What the process reads."""

    user: UserSettings
    redis_cache: RedisSettings
    storage: StorageSettings
