"""Which videos are accepted: decisions about facts, without a process or a file."""

from pkg.media.containers import Container
from pkg.media.errors import DAMAGED, DOLBY_VISION, PICTURE_TOO_LARGE, TOO_LONG, UnreadableVideo
from pkg.media.probe import VideoInfo

# Containers whose demuxers report a missing piece as an error. In MPEG streams a gap is ordinary.
GAP_REPORTING_CONTAINERS = frozenset(
    {Container.MP4, Container.MATROSKA, Container.AVI, Container.FLV}
)
GAP_MESSAGES = ("File ended prematurely", "Truncating packet")
# Demuxers that skip what they cannot read: how much that was shows only in the duration that is left.
SKIPPING_CONTAINERS = frozenset({Container.MATROSKA, Container.AVI})
KEPT_DURATION_RATE = 0.8
KEPT_DURATION_TOLERANCE_S = 0.25


def require_allowed_duration(info: VideoInfo, *, max_duration_s: float) -> None:
    """Check that a video is not too long, as far as its container says.

    Raises:
        UnreadableVideo: it is.
    """
    if info.duration_s is not None and info.duration_s > max_duration_s:
        raise UnreadableVideo(TOO_LONG, detail=f"{info.duration_s:.0f} s")


def require_decodable_picture(info: VideoInfo, *, max_picture_mpx: float) -> None:
    """Check that a picture is neither too large nor one of which only a part can be decoded.

    Raises:
        UnreadableVideo: it is.
    """
    if info.pixels > max_picture_mpx * 1_000_000:
        raise UnreadableVideo(PICTURE_TOO_LARGE, detail=f"{info.width} x {info.height}")
    if info.is_lone_enhancement:
        raise UnreadableVideo(DOLBY_VISION, detail="no compatible base layer")


def require_no_gap(messages: str) -> None:
    """Check what ffmpeg printed while it read a file of `GAP_REPORTING_CONTAINERS` to its end.

    Raises:
        UnreadableVideo: a piece is missing that the container's index promises.
    """
    for line in messages.splitlines():
        if any(message in line for message in GAP_MESSAGES):
            raise UnreadableVideo(DAMAGED, detail=line[:300])


def require_kept_duration(source: VideoInfo, result: VideoInfo) -> None:
    """Check that a video is about as long as it was before it was processed.

    Raises:
        UnreadableVideo: much of it could not be read.
    """
    if source.container not in SKIPPING_CONTAINERS or not source.duration_s:
        return
    kept_s = result.duration_s or 0
    if kept_s < KEPT_DURATION_RATE * source.duration_s - KEPT_DURATION_TOLERANCE_S:
        raise UnreadableVideo(
            DAMAGED, detail=f"{result.duration_s} of {source.duration_s} s are left"
        )
