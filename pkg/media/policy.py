"""What becomes of a video: decisions about facts, without a process or a file."""

from dataclasses import dataclass
from enum import Enum, auto

from pkg.media.containers import Container
from pkg.media.errors import DAMAGED, TOO_LONG, UnreadableVideo
from pkg.media.probe import VideoInfo

# What the app's player shows without change. Everything else is encoded again.
PLAYABLE_CONTAINERS = frozenset({Container.MP4, Container.MATROSKA})
PLAYABLE_VIDEO = frozenset({"h264"})
PLAYABLE_PIXEL_FORMATS = frozenset({"yuv420p", "yuvj420p"})
PLAYABLE_AUDIO = frozenset({"aac", "mp3"})
PLAYABLE_SIDE_PX = 4096
# Containers whose demuxers report a missing piece as an error. In MPEG streams a gap is ordinary.
GAP_REPORTING_CONTAINERS = frozenset(
    {Container.MP4, Container.MATROSKA, Container.AVI, Container.FLV}
)
GAP_MESSAGES = ("File ended prematurely", "Truncating packet")
# Demuxers that skip what they cannot read: how much that was shows only in the duration that is left.
SKIPPING_CONTAINERS = frozenset({Container.MATROSKA, Container.AVI})
KEPT_DURATION_RATE = 0.8
KEPT_DURATION_TOLERANCE_S = 0.25
COPYING_COST_S = 1.0
ASSUMED_FPS = 30
ENCODED_PIXELS_PER_S = 25_000_000


class Treatment(Enum):
    """What is done with one stream of a video."""

    COPY = auto()
    ENCODE = auto()
    DROP = auto()


@dataclass(frozen=True)
class Plan:
    """What is done with a video's two streams, and what that costs."""

    info: VideoInfo
    video: Treatment
    audio: Treatment
    cost_s: float  # estimated seconds of work with two cores

    @property
    def is_light(self) -> bool:
        """Whether no picture has to be encoded again, which takes about a second."""
        return self.video is Treatment.COPY

    @property
    def duration_s(self) -> float | None:
        """The duration that the container declares; None where it does not say."""
        return self.info.duration_s


def plan_streams(info: VideoInfo) -> Plan:
    """Return the cheapest treatment after which the app can play the video."""
    if not _is_playable_video(info):
        return plan_encoding(info)
    if info.audio_codec in PLAYABLE_AUDIO:
        return Plan(info, Treatment.COPY, Treatment.COPY, COPYING_COST_S)
    return Plan(info, Treatment.COPY, _encode_if_there(info), COPYING_COST_S)


def plan_encoding(info: VideoInfo) -> Plan:
    """Return the treatment that repairs what can be repaired: both streams are encoded again."""
    return Plan(info, Treatment.ENCODE, _encode_if_there(info), _estimate_encoding_s(info))


def require_allowed_duration(info: VideoInfo, *, max_duration_s: float) -> None:
    """Check that a video is not too long, as far as its container says.

    Raises:
        UnreadableVideo: it is.
    """
    if info.duration_s is not None and info.duration_s > max_duration_s:
        raise UnreadableVideo(TOO_LONG, detail=f"{info.duration_s:.0f} s")


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


def _is_playable_video(info: VideoInfo) -> bool:
    return (
        info.container in PLAYABLE_CONTAINERS
        and info.video_codec in PLAYABLE_VIDEO
        and info.pixel_format in PLAYABLE_PIXEL_FORMATS
        and max(info.width, info.height) <= PLAYABLE_SIDE_PX
    )


def _encode_if_there(info: VideoInfo) -> Treatment:
    # A video whose audio stream nothing here can decode is still worth showing.
    return Treatment.DROP if info.audio_codec is None else Treatment.ENCODE


def _estimate_encoding_s(info: VideoInfo) -> float:
    pixels = info.width * info.height * (info.duration_s or 0) * ASSUMED_FPS
    return COPYING_COST_S + pixels / ENCODED_PIXELS_PER_S
