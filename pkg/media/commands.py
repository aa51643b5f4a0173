"""The command lines of ffmpeg and ffprobe, from plain values.

Each opens one local file with the one demuxer that the file's first bytes named, and nothing that the file may refer to.
"""

from pathlib import Path

from pkg.media.colour import bt709_filters, jpeg_filters
from pkg.media.containers import Container
from pkg.media.cover import STEP_S, THUMBNAIL_SIDE_PX, WINDOW_S
from pkg.media.plans import ENCODED_SIDE_PX, PLAYABLE_FPS, Plan, Treatment
from pkg.media.probe import PROBED_ENTRIES, AudioStream, VideoInfo
from pkg.media.scan import PACKET_ENTRIES

COVER_SIDE_PX = 1280
# Refuses pictures of which a single one would fill the memory limit.
DECODED_PIXELS = 8192 * 8192
# Players hide a few broken pictures; a video that consists of them is refused.
BROKEN_FRAMES_RATE = "0.05"
# More threads need more address space and would take CPU time from the requests of users.
THREADS = "2"
ENCODED_FPS = 60
# Parts of an H.264 stream that are pictures or needed for them. Others may hold anything, such as place and time.
PICTURE_UNITS = "1|5|7|8"
PARAMETER_SETS = "7|8|13|15"


def _words(options: str) -> list[str]:
    return options.split()


def _fit_into(side_px: int) -> str:
    """Return the filter that makes pixels square and sides even, and shrinks the picture to fit."""
    factor = f"min(1,{side_px}/max(iw*sar,ih))"
    width = f"max(2,2*trunc(iw*sar*{factor}/2))"
    height = f"max(2,2*trunc(ih*{factor}/2))"
    return f"scale=w='{width}':h='{height}'"


FFMPEG = _words("ffmpeg -nostdin -hide_banner -v error -y")
FFPROBE = _words("ffprobe -v error")
# "V" leaves out covers and thumbnails.
VIDEO_STREAM = _words("-map 0:V:0")
# The null muxer takes any timestamps, so that only reading can fail.
COPY_TO_NOWHERE = _words("-c copy -f null -")
COPY_VIDEO = _words("-c:v copy")
ENCODE_VIDEO = _words(
    f"-c:v libx264 -preset veryfast -threads {THREADS} -crf 23 -maxrate 8M -bufsize 16M -a53cc 0"
    " -color_primaries bt709 -color_trc bt709 -colorspace bt709 -color_range tv"
)
ONLY_PICTURES = ["-bsf:v", f"filter_units=pass_types={PICTURE_UNITS}"]
ENCODE_AUDIO = _words("-c:a aac -b:a 128k -ac 2 -ar 48000")
AUDIO_OPTIONS = {
    Treatment.COPY: _words("-c:a copy"),
    Treatment.ENCODE: ENCODE_AUDIO,
    Treatment.DROP: [],
}
# Without bitexact the muxer would write the name of its program into the file.
MP4_OUTPUT = _words(
    "-map_metadata -1 -map_metadata:s:v -1 -map_metadata:s:a -1 -map_chapters -1"
    " -fflags +bitexact -flags:v +bitexact -flags:a +bitexact -movflags +faststart -f mp4"
)
PROGRESS = _words("-nostats -stats_period 0.5 -progress pipe:1")


def probe_command(container: Container, source: Path) -> list[str]:
    """Print as JSON what `parse_probe` reads."""
    return [*FFPROBE, *_open(container, source), "-of", "json", "-show_entries", PROBED_ENTRIES]


def packets_command(container: Container, source: Path) -> list[str]:
    """Print a line for each packet, as `PacketReader` reads them."""
    return [*FFPROBE, *_open(container, source), "-of", "csv=p=0", "-show_entries", PACKET_ENTRIES]


def read_through_command(container: Container, source: Path) -> list[str]:
    """Read both streams to their end without decoding, and stop at the first error."""
    streams = [*VIDEO_STREAM, *_words("-map 0:a:0? -dn -sn")]
    return [*FFMPEG, "-xerror", *_open(container, source), *streams, *COPY_TO_NOWHERE]


def parameter_sets_command(container: Container, source: Path) -> list[str]:
    """Print the parameter sets of an H.264 stream, and stop at the first picture that is not whole."""
    sets = f"h264_mp4toannexb,filter_units=pass_types={PARAMETER_SETS}"
    output = [*VIDEO_STREAM, *_words("-c copy -bsf:v"), sets, *_words("-f h264 pipe:1")]
    return [*FFMPEG, "-xerror", *_open(container, source), *output]


def first_idr_command(container: Container, source: Path) -> list[str]:
    """Print the first picture of an H.264 stream, if decoding can begin with it whatever came before."""
    first = "h264_mp4toannexb,noise=drop=gt(n\\,0),filter_units=pass_types=5"
    output = [*VIDEO_STREAM, *_words("-c copy -bsf:v"), first, *_words("-f h264 pipe:1")]
    return [*FFMPEG, "-xerror", *_open(container, source), *output]


def try_audio_command(container: Container, source: Path, stream: AudioStream) -> list[str]:
    """Print the first samples of an audio stream; nothing where they cannot be decoded."""
    output = _words(f"-map 0:{stream.index} -frames:a 8 -ac 1 -ar 8000 -f s16le pipe:1")
    return [*FFMPEG, *_open(container, source), *output]


def conversion_command(plan: Plan, source: Path, target: Path) -> list[str]:
    """Write the MP4 that the plan describes, with its index in front, and print progress."""
    container, audio = plan.info.container, AUDIO_OPTIONS[plan.audio]
    output = [*ONLY_PICTURES, *audio, *MP4_OUTPUT, f"file:{target}"]
    if plan.video is Treatment.ENCODE:
        limits = f"-max_error_rate {BROKEN_FRAMES_RATE} {_decoding_limits(THREADS)}"
        opened = [*FFMPEG, *PROGRESS, *_words(limits), *_open(container, source)]
        return [*opened, *_streams(plan), *_skip_hidden(plan.info), *_encode(plan), *output]
    opened = [*FFMPEG, *PROGRESS, "-xerror", *_open(container, source)]
    # The second output goes nowhere: its filter checks that every picture is whole.
    checked = [*VIDEO_STREAM, *_words("-bsf:v h264_mp4toannexb"), *COPY_TO_NOWHERE]
    return [*opened, *_streams(plan), *COPY_VIDEO, *output, *checked]


def cover_command(info: VideoInfo, source: Path, target: Path, *, step: int) -> list[str]:
    """Write one frame as a JPEG: the first one of the given step of the beginning; print its thumbnail."""
    chosen = f"{_thin_out()},select='eq(n,{step})'"
    filters = ",".join([chosen, *jpeg_filters(info.colour, _fit_into(COVER_SIDE_PX)), "setsar=1"])
    return [
        *_decode_beginning(info, source),
        *_words("-map_metadata -1 -frames:v 1 -c:v mjpeg -q:v 3 -vf"),
        filters,
        *_words("-fflags +bitexact -flags:v +bitexact -f image2 -update 1"),
        f"file:{target}",
        *VIDEO_STREAM,
        *_thumbnails("-frames:v 1", chosen),
    ]


def thumbnails_command(info: VideoInfo, source: Path) -> list[str]:
    """Print a thumbnail of each step of the beginning: one byte of brightness for each pixel."""
    return [*_decode_beginning(info, source), *_thumbnails(f"-t {WINDOW_S}", _thin_out())]


def _decode_beginning(info: VideoInfo, source: Path) -> list[str]:
    opened = _open(info.container, source)
    return [*FFMPEG, *_words(_decoding_limits(THREADS)), *opened, *VIDEO_STREAM]


def _thin_out() -> str:
    return f"select='isnan(prev_selected_t)+gte(t-prev_selected_t,{STEP_S})'"


def _thumbnails(limit: str, chosen: str) -> list[str]:
    side = THUMBNAIL_SIDE_PX
    filters = f"{chosen},scale={side}:{side}:flags=area:out_range=pc,format=gray"
    return [*_words(limit), "-vf", filters, *_words("-fps_mode passthrough -f rawvideo pipe:1")]


def _encode(plan: Plan) -> list[str]:
    filters = bt709_filters(plan.info.colour, _fit_into(ENCODED_SIDE_PX))
    if plan.info.field_order not in ("", "progressive"):
        filters = ["yadif=deint=interlaced", *filters]
    if plan.frame_rate > PLAYABLE_FPS:
        filters = [f"fps={ENCODED_FPS}", *filters]
    return ["-vf", ",".join([*filters, "setsar=1"]), *_words("-fps_mode vfr"), *ENCODE_VIDEO]


def _streams(plan: Plan) -> list[str]:
    if plan.audio is Treatment.DROP or plan.info.audio is None:
        return [*VIDEO_STREAM, *_words("-an -dn -sn")]
    return [*VIDEO_STREAM, *_words(f"-map 0:{plan.info.audio.index} -dn -sn")]


def _skip_hidden(info: VideoInfo) -> list[str]:
    """Leave out what an edit list puts before the beginning; in files of fragments ffmpeg would show it."""
    if info.container is not Container.MP4 or info.start_s >= 0:
        return []
    return _words(f"-ss {-info.start_s:.6f}")


def _decoding_limits(threads: str) -> str:
    return f"-max_pixels {DECODED_PIXELS} -threads {threads}"


def _open(container: Container, path: Path) -> list[str]:
    return [*_words("-protocol_whitelist file,pipe -f"), container.value, "-i", f"file:{path}"]
