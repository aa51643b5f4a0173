"""What ffprobe says about a file, as facts; what follows from them is decided in policy.py."""

import json
from dataclasses import dataclass
from typing import Any

from pkg.media.colour import BT709, Colour, ColourTags, resolve_colour
from pkg.media.containers import Container
from pkg.media.errors import DAMAGED, ENCRYPTED, NO_PICTURE, UNKNOWN_FORMAT, UnreadableVideo

# What `parse_probe` reads, and nothing else: some files have megabytes of side data.
PROBED_ENTRIES = (
    "format=duration,start_time"
    ":stream=index,codec_type,codec_name,profile,level,pix_fmt,width,height,field_order"
    ",sample_aspect_ratio,color_range,color_space,color_transfer,color_primaries"
    ",sample_rate,channels,extradata_size:stream_disposition=attached_pic"
    ":stream_side_data=rotation,displaymatrix,dv_profile,dv_bl_signal_compatibility_id"
    ":stream_tags=enc_key_id"
)
UNDEFINED = frozenset({"unknown", "unspecified", "reserved", "N/A"})


@dataclass(frozen=True)
class AudioStream:
    """One audio stream, as far as ffprobe knows it."""

    index: int  # among all streams of the file
    codec: str | None  # None: no decoder knows it
    profile: str = ""
    sample_rate: int = 0
    channels: int = 0
    header_bytes: int = 0  # of the decoder's configuration


@dataclass(frozen=True)
class VideoInfo:
    """A file's first video stream, and its audio stream that can be decoded, if there is one."""

    container: Container
    video_codec: str
    pixel_format: str
    width: int  # as stored, before rotation
    height: int
    duration_s: float | None  # None: the container does not say
    index: int = 0  # among all streams of the file
    rotation: int = 0  # degrees, as the display matrix says
    is_mirrored: bool = False
    profile: str = ""
    level: int = 0
    field_order: str = ""  # "progressive", or which field of an interlaced picture comes first
    has_square_pixels: bool = True
    colour: Colour = BT709
    is_lone_enhancement: bool = False  # Dolby Vision whose base picture has false colours
    start_s: float = 0.0
    audio_streams: tuple[AudioStream, ...] = ()
    audio: AudioStream | None = None

    @property
    def pixels(self) -> int:
        """How many pixels a picture has."""
        return self.width * self.height


def parse_probe(output: str, container: Container) -> VideoInfo:
    """Return what ffprobe's JSON says, with the first audio stream of a known codec as the audio stream.

    Raises:
        UnreadableVideo: there is no video stream, or none of a known codec and size.
    """
    try:
        found = json.loads(output)
    except ValueError as exc:
        raise UnreadableVideo(DAMAGED, detail="ffprobe printed no JSON") from exc
    streams: list[dict[str, Any]] = found.get("streams", [])
    video = next((s for s in streams if _is_video(s)), None)
    if video is None:
        raise UnreadableVideo(NO_PICTURE, detail="no video stream")
    if any("enc_key_id" in stream.get("tags", {}) for stream in streams):
        raise UnreadableVideo(ENCRYPTED, detail="a stream has a key")
    if not video.get("codec_name") or not video.get("width") or not video.get("height"):
        raise UnreadableVideo(UNKNOWN_FORMAT, detail="unknown video codec")
    audio_streams = tuple(_read_audio(s) for s in streams if s.get("codec_type") == "audio")
    return _read_video(video, found.get("format", {}), container, audio_streams)


def _read_video(
    video: dict[str, Any],
    file: dict[str, Any],
    container: Container,
    audio_streams: tuple[AudioStream, ...],
) -> VideoInfo:
    side_data: dict[str, Any] = {}
    for data in video.get("side_data_list", []):
        side_data |= data
    pixel_format, duration = video.get("pix_fmt", ""), file.get("duration")
    return VideoInfo(
        container=container,
        video_codec=video["codec_name"],
        pixel_format=pixel_format,
        width=video["width"],
        height=video["height"],
        duration_s=None if duration is None else float(duration),
        index=video.get("index", 0),
        rotation=side_data.get("rotation", 0),
        is_mirrored=_is_mirrored(side_data.get("displaymatrix", "")),
        profile=_text(video, "profile"),
        level=video.get("level", 0),
        field_order=_text(video, "field_order"),
        has_square_pixels=_text(video, "sample_aspect_ratio") in ("", "1:1", "0:1"),
        colour=_read_colour(video, pixel_format),
        is_lone_enhancement=(
            "dv_profile" in side_data and not side_data.get("dv_bl_signal_compatibility_id")
        ),
        start_s=float(file.get("start_time", 0)),
        audio_streams=audio_streams,
        audio=next((stream for stream in audio_streams if stream.codec), None),
    )


def _read_colour(video: dict[str, Any], pixel_format: str) -> Colour:
    tags = ColourTags(
        matrix=_text(video, "color_space"),
        primaries=_text(video, "color_primaries"),
        transfer=_text(video, "color_transfer"),
        range=_text(video, "color_range"),
    )
    return resolve_colour(
        tags,
        codec=video["codec_name"],
        pixel_format=pixel_format,
        width=video["width"],
        height=video["height"],
    )


def _read_audio(stream: dict[str, Any]) -> AudioStream:
    return AudioStream(
        index=stream.get("index", 0),
        codec=stream.get("codec_name"),
        profile=_text(stream, "profile"),
        sample_rate=int(stream.get("sample_rate", 0)),
        channels=stream.get("channels", 0),
        header_bytes=stream.get("extradata_size", 0),
    )


def _is_video(stream: dict[str, Any]) -> bool:
    is_cover = stream.get("disposition", {}).get("attached_pic") == 1
    return stream.get("codec_type") == "video" and not is_cover


def _is_mirrored(display_matrix: str) -> bool:
    """Read the matrix as ffprobe prints it: three lines of an offset and three numbers."""
    rows = [line.split()[1:] for line in display_matrix.strip().splitlines()]
    if len(rows) != 3 or any(len(row) != 3 for row in rows):
        return False
    (a, b, _), (c, d, _), _ = ((int(number) for number in row) for row in rows)
    return a * d - b * c < 0


def _text(stream: dict[str, Any], key: str) -> str:
    value = str(stream.get(key, ""))
    return "" if value in UNDEFINED else value
