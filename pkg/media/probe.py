"""What ffprobe says about a file, as facts; what follows from them is decided in policy.py."""

import json
from dataclasses import dataclass
from typing import Any

from pkg.media.containers import Container
from pkg.media.errors import DAMAGED, NO_PICTURE, UNKNOWN_FORMAT, UnreadableVideo

# What `parse_probe` reads, and nothing else: some files have megabytes of side data.
PROBED_ENTRIES = (
    "format=duration:stream=codec_type,codec_name,pix_fmt,width,height"
    ":stream_disposition=attached_pic:stream_side_data=rotation"
)


@dataclass(frozen=True)
class VideoInfo:
    """A file's first video stream and, if there is one that can be decoded, its first audio stream."""

    container: Container
    video_codec: str
    pixel_format: str
    width: int  # as stored, before rotation
    height: int
    rotation: int  # degrees, as the display matrix says
    audio_codec: str | None
    duration_s: float | None  # None: the container does not say


def parse_probe(output: str, container: Container) -> VideoInfo:
    """Return what ffprobe's JSON says.

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
    if not video.get("codec_name") or not video.get("width") or not video.get("height"):
        raise UnreadableVideo(UNKNOWN_FORMAT, detail="unknown video codec")
    audio = next((s for s in streams if s.get("codec_type") == "audio"), {})
    duration = found.get("format", {}).get("duration")
    return VideoInfo(
        container=container,
        video_codec=video["codec_name"],
        pixel_format=video.get("pix_fmt", ""),
        width=video["width"],
        height=video["height"],
        rotation=next((d["rotation"] for d in video.get("side_data_list", []) if d), 0),
        audio_codec=audio.get("codec_name"),
        duration_s=None if duration is None else float(duration),
    )


def _is_video(stream: dict[str, Any]) -> bool:
    is_cover = stream.get("disposition", {}).get("attached_pic") == 1
    return stream.get("codec_type") == "video" and not is_cover
