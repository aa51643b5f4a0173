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
    max_heavy_per_author: Count
    """How many videos of one author are encoded again at the same time."""
    publish_wait_s: Seconds
    """The reply to a publish waits this long for the outcome, within the caller's deadline."""
    max_waiting_replies: Count
    """How many replies wait at the same time; the others come at once."""
    max_unfinished_uploads_per_author: Count
    """Who has so many uploads that are neither published nor failed has to wait."""
    max_failed_uploads_per_author: Count
    """How many failed uploads of an author stay in `publish/status`, the newest ones."""
    failed_upload_retention_days: Count
    """How long a failed upload stays in `publish/status`."""


class VideoProcessSettings(FoundationSettings):
    """What the process reads."""

    video: VideoSettings
    storage: StorageSettings
    media: MediaSettings
    upload: UploadSettings
