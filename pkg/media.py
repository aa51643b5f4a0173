"""ffmpeg and ffprobe: every look into a video's content and every change of it.

Both run as processes of their own, because a broken or hostile file may make a decoder crash, loop or swell. Each has a
time limit, an address-space limit and a place in a bounded queue, reads one local file with the one demuxer that the
file's first bytes named, and sees nothing of our environment. None outlives its call: it is killed, with its process
group, at the limit and on cancellation, and by the kernel when the service itself is killed.
"""

import asyncio
import json
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pkg.containers import (
    HEAD_SIZE,
    Container,
    find_container,
    is_cut_short,
    looks_like_video,
)
from pkg.settings import Count, Seconds, Section

__all__ = [
    "HEAD_SIZE",
    "MediaError",
    "MediaTool",
    "MediaToolFailed",
    "UnreadableVideo",
    "VideoInfo",
    "looks_like_video",
]

# What the app's player shows as it is. Everything else is encoded again.
PLAYABLE_CONTAINERS = frozenset({Container.MP4, Container.MATROSKA})
PLAYABLE_PIXEL_FORMATS = frozenset({"yuv420p", "yuvj420p"})
PLAYABLE_AUDIO = frozenset({"aac", "mp3"})
PLAYABLE_SIDE_PX = 4096
ENCODED_SIDE_PX = 1920
COVER_SIDE_PX = 1280
# Refuses pictures that would fill the memory limit with a single frame.
DECODED_PIXELS = 8192 * 8192
# Containers whose demuxers report a missing piece as an error. In MPEG streams a gap is ordinary.
MEASURED_CONTAINERS = frozenset({Container.MP4, Container.MATROSKA, Container.AVI, Container.FLV})
CUT_SHORT_MESSAGES = ("File ended prematurely", "Truncating packet")
# Demuxers that step over what they cannot read; the length that is left tells how much that was.
LENIENT_CONTAINERS = frozenset({Container.MATROSKA, Container.AVI})
KEPT_DURATION_RATE = 0.8
# The machine's trouble, not the file's; trying again may help.
MACHINE_MESSAGES = (
    "No space left on device",
    "Cannot allocate memory",
    "malloc of size",  # x264
    "Error while opening encoder",  # whose parameters are always the same
    "Resource temporarily unavailable",  # no thread could be made
)
# Players hide a few broken pictures; a film of them is refused.
BROKEN_FRAMES_RATE = "0.05"
# More threads need more address space and would take the cores from the answers to people.
THREADS = "2"
OUTPUT_LIMIT_BYTES = 1 << 30
# Of what a tool prints, its end is kept.
PRINTED_LIMIT_BYTES = 256 * 1024


# What the person who sent the file is told.
NOT_A_VIDEO = "这不是视频文件,请重新选择"
NO_PICTURE = "文件里没有视频画面,请重新选择"
UNKNOWN_FORMAT = "不支持这种视频格式,请转换后再上传"
DAMAGED = "视频文件不完整或已损坏,请重新上传"
PROCESSING_FAILED = "视频处理失败,请稍后重新上传"
TOO_LONG = "视频太长,请剪短后再上传"


class MediaSettings(Section):
    """The section `media`: the limits of ffmpeg and ffprobe."""

    probe_timeout_s: Seconds
    """The deadline of one look into a file (ffprobe)."""
    process_timeout_s: Seconds
    """The deadline of one change of a file (ffmpeg)."""
    max_memory_mb: Count
    """The address space of one ffmpeg or ffprobe, in MiB."""
    max_parallel: Count
    """How many of them run at once; as many uploads are processed in parallel."""
    max_duration_s: Seconds
    """The longest video that is accepted."""


def _words(options: str) -> list[str]:
    return options.split()


def _fit_into(side_px: int) -> str:
    """Return the filter that makes pixels square and sides even, and shrinks the picture to fit."""
    factor = f"min(1,{side_px}/max(iw*sar,ih))"
    width = f"max(2,2*trunc(iw*sar*{factor}/2))"
    height = f"max(2,2*trunc(ih*{factor}/2))"
    return f"scale=w='{width}':h='{height}',setsar=1"


FFMPEG = _words("ffmpeg -nostdin -hide_banner -v error -y")
PROBED_ENTRIES = _words(
    "-of json -show_entries format=duration:stream=codec_type,codec_name,pix_fmt,width,height"
    ":stream_disposition=attached_pic:stream_side_data=rotation"
)
# "V" leaves out covers and thumbnails.
CHOSEN_STREAMS = _words("-map 0:V:0 -map 0:a:0? -dn -sn")
COPY_TO_NOWHERE = _words("-c copy -f null -")
ENCODE_AUDIO = _words("-c:a aac -b:a 128k -ac 2")
ENCODE_VIDEO = _words(
    f"-vf {_fit_into(ENCODED_SIDE_PX)},format=yuv420p -fps_mode vfr"
    f" -c:v libx264 -preset veryfast -threads {THREADS} -crf 23 -maxrate 8M -bufsize 16M"
)
# Without bitexact the muxer would sign the file.
MP4_OUTPUT = _words(
    "-map_metadata -1 -map_metadata:s:v -1 -map_metadata:s:a -1 -map_chapters -1"
    " -fflags +bitexact -movflags +faststart -f mp4"
)


class MediaError(Exception):
    """A video could not be handled; `reason` is for the person who sent it, `detail` for the log."""

    def __init__(self, reason: str, *, detail: str = "") -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason} ({detail})" if detail else reason)


class UnreadableVideo(MediaError):
    """The file is to blame: trying again is of no use."""


class MediaToolFailed(MediaError):
    """The tool ran out of time, memory or disk, or crashed: trying again may help."""

    def __init__(self, detail: str) -> None:
        super().__init__(PROCESSING_FAILED, detail=detail)


@dataclass(frozen=True)
class VideoInfo:
    """What ffprobe found in a file: its first film and, if there is one that can be read, its first sound."""

    container: Container
    video_codec: str
    pixel_format: str
    width: int  # as stored, before rotation
    height: int
    rotation: int  # degrees, as the display matrix says
    audio_codec: str | None
    duration_s: float | None  # None: the container does not say

    @property
    def has_playable_video(self) -> bool:
        return (
            self.container in PLAYABLE_CONTAINERS
            and self.video_codec == "h264"
            and self.pixel_format in PLAYABLE_PIXEL_FORMATS
            and max(self.width, self.height) <= PLAYABLE_SIDE_PX
        )

    @property
    def has_playable_audio(self) -> bool:
        return self.audio_codec is None or self.audio_codec in PLAYABLE_AUDIO


@dataclass(frozen=True)
class _Printed:
    output: str
    errors: str


class MediaTool:
    """Runs ffmpeg and ffprobe, at most `max_parallel` processes at a time."""

    def __init__(self, settings: MediaSettings) -> None:
        self._settings = settings
        self._slots = asyncio.Semaphore(settings.max_parallel)

    async def probe(self, path: Path) -> VideoInfo:
        """Return what kind of video the file is.

        Raises:
            UnreadableVideo: it is none, or has no picture that could be decoded.
            MediaToolFailed: the machine could not tell.
        """
        container = await asyncio.to_thread(_read_container, path)
        printed = await self._run(
            ["ffprobe", "-v", "error", *_open(container, path), *PROBED_ENTRIES],
            timeout_s=self._settings.probe_timeout_s,
        )
        return _parse_probe(printed.output, container)

    async def make_streamable(self, source: Path, target: Path) -> VideoInfo:
        """Write the video as an MP4 that plays while it loads; return what the target then is.

        What the app can play is copied as it is, rotation included; the rest is encoded again. Neither keeps where and
        with what it was filmed. On an error a part of the target may exist.

        Raises:
            UnreadableVideo: the source is none, is cut short, damaged or too long.
            MediaToolFailed: the machine could not do it.
        """
        container = await asyncio.to_thread(_read_container, source)
        if await asyncio.to_thread(is_cut_short, source, container):
            raise UnreadableVideo(DAMAGED, detail="the file is shorter than its container says")
        info = await self.probe(source)
        self._refuse_long(info)
        await self._refuse_gaps(source, container)
        if not await self._copy(source, target, info):
            await self._encode(source, target, info)
        result = await self.probe(target)
        self._refuse_long(result)
        _refuse_losses(info, result)
        return result

    async def first_frame(self, source: Path, target: Path) -> None:
        """Write the video's first frame as a JPEG, upright and at most 1280 pixels long.

        Raises:
            UnreadableVideo: no frame could be decoded.
            MediaToolFailed: the machine could not do it.
        """
        container = await asyncio.to_thread(_read_container, source)
        await self._run(
            [
                *FFMPEG,
                *_words(f"-max_pixels {DECODED_PIXELS} -threads 1"),
                *_open(container, source),
                *_words("-map 0:V:0 -map_metadata -1 -frames:v 1 -c:v mjpeg -q:v 3"),
                *_words(f"-vf {_fit_into(COVER_SIDE_PX)},format=yuvj420p -f image2 -update 1"),
                f"file:{target}",
            ],
            timeout_s=self._settings.probe_timeout_s,
        )
        if not await asyncio.to_thread(_has_content, target):
            raise UnreadableVideo(DAMAGED, detail="no frame could be decoded")

    def _refuse_long(self, info: VideoInfo) -> None:
        if info.duration_s is not None and info.duration_s > self._settings.max_duration_s:
            raise UnreadableVideo(TOO_LONG, detail=f"{info.duration_s:.0f} s")

    async def _refuse_gaps(self, source: Path, container: Container) -> None:
        """Raise UnreadableVideo where something is missing that the container's index promises."""
        if container not in MEASURED_CONTAINERS:
            return
        # The null muxer takes any timestamps, so that only reading can fail.
        printed = await self._run(
            [*FFMPEG, "-xerror", *_open(container, source), *CHOSEN_STREAMS, *COPY_TO_NOWHERE],
            timeout_s=self._settings.process_timeout_s,
        )
        if any(message in printed.errors for message in CUT_SHORT_MESSAGES):
            raise UnreadableVideo(DAMAGED, detail=_last_line(printed.errors))

    async def _copy(self, source: Path, target: Path, info: VideoInfo) -> bool:
        """Move the streams into a new MP4 as they are; False where that is impossible."""
        if not info.has_playable_video:
            return False
        # The second output goes nowhere: its filter checks that every picture is whole.
        command = [
            *FFMPEG,
            "-xerror",
            *_open(info.container, source),
            *_chosen_streams(info),
            *_words("-c:v copy"),
            *(_words("-c:a copy") if info.has_playable_audio else ENCODE_AUDIO),
            *MP4_OUTPUT,
            f"file:{target}",
            *_words("-map 0:V:0 -bsf:v h264_mp4toannexb"),
            *COPY_TO_NOWHERE,
        ]
        try:
            await self._run(command, timeout_s=self._settings.process_timeout_s)
        except UnreadableVideo:
            return False
        return True

    async def _encode(self, source: Path, target: Path, info: VideoInfo) -> None:
        await self._run(
            [
                *FFMPEG,
                *_words(f"-max_error_rate {BROKEN_FRAMES_RATE}"),
                *_words(f"-max_pixels {DECODED_PIXELS} -threads {THREADS}"),
                *_open(info.container, source),
                *_chosen_streams(info),
                *ENCODE_VIDEO,
                *ENCODE_AUDIO,
                *MP4_OUTPUT,
                f"file:{target}",
            ],
            timeout_s=self._settings.process_timeout_s,
        )

    async def _run(self, command: list[str], *, timeout_s: float) -> _Printed:
        """Run one tool to its end and return what it printed.

        Raises:
            UnreadableVideo: it refused the file.
            MediaToolFailed: it ended otherwise.
        """
        async with self._slots:
            process = await asyncio.create_subprocess_exec(
                *_confinement(self._settings.max_memory_mb),
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
                start_new_session=True,
            )
            try:
                async with asyncio.timeout(timeout_s):
                    printed = await _read_printed(process)
            except TimeoutError as exc:
                raise MediaToolFailed(f"{command[0]} took over {timeout_s} s") from exc
            finally:
                await _end(process)
        _raise_for_exit(command[0], process.returncode, printed)
        return printed


def _chosen_streams(info: VideoInfo) -> list[str]:
    # Of a sound that nothing here can decode, the film is still worth showing.
    return CHOSEN_STREAMS if info.audio_codec else _words("-map 0:V:0 -an -dn -sn")


def _open(container: Container, path: Path) -> list[str]:
    """Return the options that open this one local file, and nothing that it may name."""
    return [*_words("-protocol_whitelist file,pipe -f"), container.value, "-i", f"file:{path}"]


def _confinement(max_memory_mb: int) -> list[str]:
    """Return the prefix that limits memory and output, and ties the process's life to ours."""
    limits = f"--as={max_memory_mb * 1024 * 1024} --fsize={OUTPUT_LIMIT_BYTES} --core=0"
    return _words(f"setpriv --pdeathsig KILL --no-new-privs -- prlimit {limits} -- nice -n 5 --")


def _read_container(path: Path) -> Container:
    with path.open("rb") as file:
        container = find_container(file.read(HEAD_SIZE))
    if container is None:
        raise UnreadableVideo(NOT_A_VIDEO, detail="no container that we know")
    return container


def _parse_probe(output: str, container: Container) -> VideoInfo:
    try:
        found = json.loads(output)
    except ValueError as exc:
        raise UnreadableVideo(DAMAGED, detail="ffprobe printed no JSON") from exc
    streams: list[dict[str, Any]] = found.get("streams", [])
    film = next((s for s in streams if _is_film(s)), None)
    if film is None:
        raise UnreadableVideo(NO_PICTURE, detail="no video stream")
    if not film.get("codec_name") or not film.get("width") or not film.get("height"):
        raise UnreadableVideo(UNKNOWN_FORMAT, detail="unknown video codec")
    sound = next((s for s in streams if s.get("codec_type") == "audio"), {})
    duration = found.get("format", {}).get("duration")
    return VideoInfo(
        container=container,
        video_codec=film["codec_name"],
        pixel_format=film.get("pix_fmt", ""),
        width=film["width"],
        height=film["height"],
        rotation=next((d["rotation"] for d in film.get("side_data_list", []) if d), 0),
        audio_codec=sound.get("codec_name"),
        duration_s=None if duration is None else float(duration),
    )


def _is_film(stream: dict[str, Any]) -> bool:
    is_cover = stream.get("disposition", {}).get("attached_pic") == 1
    return stream.get("codec_type") == "video" and not is_cover


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _refuse_losses(info: VideoInfo, result: VideoInfo) -> None:
    if info.container not in LENIENT_CONTAINERS or not info.duration_s:
        return
    if (result.duration_s or 0) < KEPT_DURATION_RATE * info.duration_s - 0.25:
        raise UnreadableVideo(
            DAMAGED, detail=f"{result.duration_s} of {info.duration_s} s are left"
        )


async def _read_printed(process: asyncio.subprocess.Process) -> _Printed:
    output, errors, _ = await asyncio.gather(
        _read_end(process.stdout), _read_end(process.stderr), process.wait()
    )
    return _Printed(output=output, errors=errors)


async def _read_end(stream: asyncio.StreamReader | None) -> str:
    """Read all and keep the end: a broken file makes ffmpeg print without bound."""
    kept = b""
    while stream and (chunk := await stream.read(64 * 1024)):
        kept = (kept + chunk)[-PRINTED_LIMIT_BYTES:]
    return kept.decode(errors="replace")


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill what still runs of the process's group, and reap it."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _raise_for_exit(tool: str, code: int | None, printed: _Printed) -> None:
    if code == 0:
        return
    detail = f"{tool} ended with {code}: {_last_line(printed.errors)}"
    # 126 and 127 come from the prefix: the tool itself is missing or may not run.
    if code is None or code < 0 or code in (126, 127):
        raise MediaToolFailed(detail)
    if any(message in printed.errors for message in MACHINE_MESSAGES):
        raise MediaToolFailed(detail)
    raise UnreadableVideo(DAMAGED, detail=detail)


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:300] if lines else ""
