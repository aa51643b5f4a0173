"""What is done with a video, and what that costs: copied where every property is known to play, else encoded again."""

from dataclasses import dataclass, replace
from enum import Enum, auto

from pkg.media.containers import Container
from pkg.media.errors import TOO_EXPENSIVE, UnreadableVideo
from pkg.media.probe import AudioStream, VideoInfo
from pkg.media.scan import Timeline
from pkg.media.settings import MediaSettings

# What the platforms of README.md show without change. Everything else is encoded again.
PLAYABLE_CONTAINERS = frozenset({Container.MP4, Container.MATROSKA})
PLAYABLE_PROFILES = frozenset({"Constrained Baseline", "Main", "High", "Constrained High"})
PLAYABLE_PIXEL_FORMATS = frozenset({"yuv420p", "yuvj420p"})
PLAYABLE_MATRICES = frozenset({"bt709", "smpte170m", "bt470bg"})
PLAYABLE_PRIMARIES = frozenset({"bt709", "smpte170m", "bt470bg"})
PLAYABLE_TRANSFERS = frozenset({"bt709", "smpte170m"})
PLAYABLE_SIDE_PX = 4096
# H.264 level 5.1: blocks of 16 x 16 pixels in a picture, and in a second.
PLAYABLE_LEVEL = 51
PLAYABLE_BLOCKS = 36_864
PLAYABLE_BLOCKS_PER_S = 983_040
PLAYABLE_FPS = 61
PLAYABLE_SAMPLE_RATES = frozenset({8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000})
# AAC needs a packet or two before the first sound; more was cut off by the author.
HIDDEN_AUDIO_S = 0.15
# Of an AAC stream with one or two channels, the configuration has two to five bytes.
AUDIO_HEADER_BYTES = 8
ENCODED_SIDE_PX = 1920
# What a step costs even where there is nearly nothing to do.
STEP_COST_S = 1.0
LIGHT_COST_S = 10.0
AUDIO_S_PER_S = 40
READ_S_PER_S = 1000
MEGA = 1_000_000


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
    frames: int = 0
    frame_rate: float = 0.0

    @property
    def is_light(self) -> bool:
        """Whether it takes seconds: no picture has to be encoded again, and no long audio stream."""
        return self.video is Treatment.COPY and self.cost_s <= LIGHT_COST_S

    @property
    def duration_s(self) -> float | None:
        """The duration; None where neither the container nor the packets say it."""
        return self.info.duration_s


class CopyFailed(Exception):
    """What was planned as a copy has to be encoded, which costs more than was promised: `encoding` says how."""

    def __init__(self, encoding: Plan) -> None:
        self.encoding = encoding
        super().__init__("the copy failed")


@dataclass(frozen=True)
class Facts:
    """What `inspect` found out about a file."""

    info: VideoInfo
    video: Timeline
    audio: Timeline
    is_steady: bool = False  # the first picture is an IDR, and no parameter set changes


def may_be_copied(info: VideoInfo, timeline: Timeline) -> bool:
    """Tell whether the pictures play everywhere as they are, if the parameter sets never change."""
    return (
        _is_playable_stream(info)
        and _is_playable_size(info, timeline.frame_rate)
        and _is_playable_colour(info)
        and timeline.starts_with_key
        and timeline.is_ordered
        and timeline.hidden_packets == 0
    )


def make_plan(facts: Facts, settings: MediaSettings) -> Plan:
    """Return the cheapest treatment after which the video plays on every platform, and what it costs."""
    copied = facts.is_steady and may_be_copied(facts.info, facts.video)
    return _cost(facts, Treatment.COPY if copied else Treatment.ENCODE, settings)


def plan_encoding(plan: Plan, settings: MediaSettings) -> Plan:
    """Return the treatment that repairs what can be repaired: both streams are encoded again."""
    audio = Treatment.DROP if plan.info.audio is None else Treatment.ENCODE
    cost_s = estimate_encoding_s(plan.info, plan.frames, settings)
    return replace(plan, video=Treatment.ENCODE, audio=audio, cost_s=cost_s)


def require_affordable(plan: Plan, *, max_cost_s: float) -> None:
    """Check before the work begins that it can be finished.

    Raises:
        UnreadableVideo: it would cost too much.
    """
    if plan.cost_s > max_cost_s:
        raise UnreadableVideo(TOO_EXPENSIVE, detail=f"costs {plan.cost_s:.0f} s")


def estimate_encoding_s(info: VideoInfo, frames: int, settings: MediaSettings) -> float:
    """Return how long decoding, shrinking and encoding so many pictures takes."""
    shrunk = min(1.0, ENCODED_SIDE_PX / max(info.width, info.height)) ** 2
    decoded_mpx = info.pixels * frames / MEGA
    encoded_mpx = decoded_mpx * shrunk
    cost_s = decoded_mpx / settings.decoded_mpx_per_s + encoded_mpx / settings.encoded_mpx_per_s
    if info.colour.is_hdr:
        cost_s += encoded_mpx / settings.tone_mapped_mpx_per_s
    return STEP_COST_S + cost_s + (info.duration_s or 0) / AUDIO_S_PER_S


def _cost(facts: Facts, video: Treatment, settings: MediaSettings) -> Plan:
    info = facts.info
    audio = _treat_audio(info.audio, facts.audio, video)
    if video is Treatment.ENCODE:
        cost_s = estimate_encoding_s(info, facts.video.packets, settings)
    else:
        pace = AUDIO_S_PER_S if audio is Treatment.ENCODE else READ_S_PER_S
        cost_s = STEP_COST_S + (info.duration_s or 0) / pace
    return Plan(info, video, audio, cost_s, facts.video.packets, facts.video.frame_rate)


def _treat_audio(stream: AudioStream | None, timeline: Timeline, video: Treatment) -> Treatment:
    # A video whose audio stream nothing here can decode is still worth showing.
    if stream is None:
        return Treatment.DROP
    copied = (
        video is Treatment.COPY
        and (stream.codec, stream.profile) == ("aac", "LC")
        and stream.sample_rate in PLAYABLE_SAMPLE_RATES
        and stream.channels in (1, 2)
        and stream.header_bytes <= AUDIO_HEADER_BYTES
        and timeline.hidden_s <= HIDDEN_AUDIO_S
    )
    return Treatment.COPY if copied else Treatment.ENCODE


def _is_playable_stream(info: VideoInfo) -> bool:
    return (
        info.container in PLAYABLE_CONTAINERS
        and info.video_codec == "h264"
        and info.profile in PLAYABLE_PROFILES
        and info.pixel_format in PLAYABLE_PIXEL_FORMATS
        and info.field_order == "progressive"
        and info.has_square_pixels
        and info.rotation % 90 == 0
        and not info.is_mirrored
    )


def _is_playable_size(info: VideoInfo, frame_rate: float) -> bool:
    blocks = -(-info.width // 16) * -(-info.height // 16)
    return (
        0 < info.level <= PLAYABLE_LEVEL
        and max(info.width, info.height) <= PLAYABLE_SIDE_PX
        and blocks <= PLAYABLE_BLOCKS
        and blocks * frame_rate <= PLAYABLE_BLOCKS_PER_S
        and frame_rate <= PLAYABLE_FPS
    )


def _is_playable_colour(info: VideoInfo) -> bool:
    colour = info.colour
    return (
        colour.matrix in PLAYABLE_MATRICES
        and colour.primaries in PLAYABLE_PRIMARIES
        and colour.transfer in PLAYABLE_TRANSFERS
    )
