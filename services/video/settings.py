"""The settings of VideoService's process."""

from pathlib import Path

from dal.db.engine import MySQLSettings
from dal.redis.client import RedisSettings
from pkg.media import MediaSettings
from pkg.rpc.server import ServiceProcessSettings, ServiceSettings
from pkg.settings import Count, Seconds
from pkg.storage import StorageSettings
from pkg.token import TokenSettings


class VideoSettings(ServiceSettings):
    """The section `video`."""

    max_upload_mb: Count
    spool_dir: Path
    job_interval_s: Seconds
    lease_s: Seconds
    max_attempts: Count


class VideoProcessSettings(ServiceProcessSettings):
    """What the process reads."""

    video: VideoSettings
    mysql: MySQLSettings
    redis_actions: RedisSettings
    storage: StorageSettings
    token: TokenSettings
    media: MediaSettings
