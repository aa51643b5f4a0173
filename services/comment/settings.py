"""The settings of CommentService's process."""

from zoneinfo import ZoneInfo

from pkg.rpc.server import ServiceSettings
from services.foundation import FoundationSettings


class CommentSettings(ServiceSettings):
    """The section `comment`."""

    display_time_zone: ZoneInfo
    """The zone in which `create_date` (MM-DD) is written."""


class CommentProcessSettings(FoundationSettings):
    """What the process reads."""

    comment: CommentSettings
