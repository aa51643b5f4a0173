"""The settings of VideoService's process."""

from pathlib import Path

from pkg.media import MediaSettings
from pkg.rpc.server import ServiceSettings
from pkg.settings import Count, Seconds
from pkg.storage import StorageSettings
from services.foundation import FoundationSettings


class VideoSettings(ServiceSettings):
    """The section `video`."""

    max_upload_mb: Count
    spool_dir: Path
    job_interval_s: Seconds
    lease_s: Seconds
    max_attempts: Count


class VideoProcessSettings(FoundationSettings):
    """What the process reads."""

    video: VideoSettings
    storage: StorageSettings
    media: MediaSettings
