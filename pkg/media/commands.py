"""The command lines of ffmpeg and ffprobe, from plain values.

Each opens one local file with the one demuxer that the file's first bytes named, and nothing that the file may refer to.
"""

from pathlib import Path

from pkg.media.containers import Container
from pkg.media.policy import Plan, Treatment
from pkg.media.probe import PROBED_ENTRIES

ENCODED_SIDE_PX = 1920
COVER_SIDE_PX = 1280
# Refuses pictures of which a single one would fill the memory limit.
DECODED_PIXELS = 8192 * 8192
# Players hide a few broken pictures; a video that consists of them is refused.
BROKEN_FRAMES_RATE = "0.05"
# More threads need more address space and would take CPU time from the requests of users.
THREADS = "2"


def _words(options: str) -> list[str]:
    return options.split()


def _fit_into(side_px: int) -> str:
    """Return the filter that makes pixels square and sides even, and shrinks the picture to fit."""
    factor = f"min(1,{side_px}/max(iw*sar,ih))"
    width = f"max(2,2*trunc(iw*sar*{factor}/2))"
    height = f"max(2,2*trunc(ih*{factor}/2))"
    return f"scale=w='{width}':h='{height}',setsar=1"


FFMPEG = _words("ffmpeg -nostdin -hide_banner -v error -y")
FFPROBE = _words("ffprobe -v error")
# "V" leaves out covers and thumbnails.
VIDEO_STREAM = _words("-map 0:V:0")
WITH_AUDIO = [*VIDEO_STREAM, *_words("-map 0:a:0? -dn -sn")]
WITHOUT_AUDIO = [*VIDEO_STREAM, *_words("-an -dn -sn")]
# The null muxer takes any timestamps, so that only reading can fail.
COPY_TO_NOWHERE = _words("-c copy -f null -")
COPY_VIDEO = _words("-c:v copy")
ENCODE_VIDEO = _words(
    f"-vf {_fit_into(ENCODED_SIDE_PX)},format=yuv420p -fps_mode vfr"
    f" -c:v libx264 -preset veryfast -threads {THREADS} -crf 23 -maxrate 8M -bufsize 16M"
)
ENCODE_AUDIO = _words("-c:a aac -b:a 128k -ac 2")
AUDIO_OPTIONS = {
    Treatment.COPY: _words("-c:a copy"),
    Treatment.ENCODE: ENCODE_AUDIO,
    Treatment.DROP: [],
}
# Without bitexact the muxer would write the name of its program into the file.
MP4_OUTPUT = _words(
    "-map_metadata -1 -map_metadata:s:v -1 -map_metadata:s:a -1 -map_chapters -1"
    " -fflags +bitexact -movflags +faststart -f mp4"
)


def probe_command(container: Container, source: Path) -> list[str]:
    """Print as JSON what `parse_probe` reads."""
    return [*FFPROBE, *_open(container, source), "-of", "json", "-show_entries", PROBED_ENTRIES]


def read_through_command(container: Container, source: Path) -> list[str]:
    """Read both streams to their end without decoding, and stop at the first error."""
    return [*FFMPEG, "-xerror", *_open(container, source), *WITH_AUDIO, *COPY_TO_NOWHERE]


def conversion_command(plan: Plan, source: Path, target: Path) -> list[str]:
    """Write the MP4 that the plan describes, with its index in front."""
    container = plan.info.container
    streams = WITHOUT_AUDIO if plan.audio is Treatment.DROP else WITH_AUDIO
    audio = AUDIO_OPTIONS[plan.audio]
    output = [*MP4_OUTPUT, f"file:{target}"]
    if plan.video is Treatment.ENCODE:
        limits = f"-max_error_rate {BROKEN_FRAMES_RATE} {_decoding_limits(THREADS)}"
        opened = [*FFMPEG, *_words(limits), *_open(container, source)]
        return [*opened, *streams, *ENCODE_VIDEO, *audio, *output]
    opened = [*FFMPEG, "-xerror", *_open(container, source)]
    # The second output goes nowhere: its filter checks that every picture is whole.
    checked = [*VIDEO_STREAM, *_words("-bsf:v h264_mp4toannexb"), *COPY_TO_NOWHERE]
    return [*opened, *streams, *COPY_VIDEO, *audio, *output, *checked]


def cover_command(container: Container, source: Path, target: Path) -> list[str]:
    """Write the first frame that can be decoded as a JPEG."""
    return [
        *FFMPEG,
        *_words(_decoding_limits("1")),
        *_open(container, source),
        *VIDEO_STREAM,
        *_words("-map_metadata -1 -frames:v 1 -c:v mjpeg -q:v 3"),
        *_words(f"-vf {_fit_into(COVER_SIDE_PX)},format=yuvj420p -f image2 -update 1"),
        f"file:{target}",
    ]


def _decoding_limits(threads: str) -> str:
    return f"-max_pixels {DECODED_PIXELS} -threads {threads}"


def _open(container: Container, path: Path) -> list[str]:
    return [*_words("-protocol_whitelist file,pipe -f"), container.value, "-i", f"file:{path}"]
