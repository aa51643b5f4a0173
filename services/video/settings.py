"""The settings of VideoService's process."""

from pathlib import Path

from pkg.media import MediaSettings
from pkg.rpc.server import ServiceSettings
from pkg.settings import Count, Seconds
from pkg.spool import SpoolLimits
from pkg.storage import StorageSettings
from pkg.uploads import UploadSettings
from services.foundation import FoundationSettings


class VideoSettings(ServiceSettings):
    """The section `video`."""

    spool_dir: Path
    """A folder for uploads on their way to storage, and for files that are being processed."""
    spool: SpoolLimits
    job_interval_s: Seconds
    """How often a worker looks for work that nobody told it of."""
    lease_s: Seconds
    """A worker that died is replaced after this."""
    max_attempts: Count
    """An upload whose processing failed this often is given up."""


class VideoProcessSettings(FoundationSettings):
    """What the process reads."""

    video: VideoSettings
    storage: StorageSettings
    media: MediaSettings
    upload: UploadSettings
