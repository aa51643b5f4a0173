"""ffmpeg and ffprobe: every look into a video's content and every change of it. See README.md beside this file."""

from pkg.media.containers import HEAD_SIZE, Container
from pkg.media.errors import PROCESSING_FAILED, MediaError, MediaToolFailed, UnreadableVideo
from pkg.media.plans import CopyFailed, Plan
from pkg.media.probe import VideoInfo
from pkg.media.refusals import find_refusal
from pkg.media.settings import MediaSettings
from pkg.media.tool import MediaTool

__all__ = [
    "HEAD_SIZE",
    "PROCESSING_FAILED",
    "Container",
    "CopyFailed",
    "MediaError",
    "MediaSettings",
    "MediaTool",
    "MediaToolFailed",
    "Plan",
    "UnreadableVideo",
    "VideoInfo",
    "find_refusal",
]
