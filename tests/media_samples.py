"""Sample files made with the real ffmpeg: videos that people have, and files that only look like one."""

import os
import subprocess
from pathlib import Path

# A playlist that would make a careless demuxer read a file of the machine.
HLS_PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"

PHONE_ENCODER = (
    "-c:v libx264 -preset ultrafast -pix_fmt yuv420p"
    " -b:v 24M -minrate 24M -maxrate 24M -bufsize 6M -x264-params nal-hrd=cbr"
)


def run_ffmpeg(*arguments: str) -> None:
    """Run ffmpeg and raise with what it printed where it fails."""
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}")


def make_video(
    path: Path,
    *,
    seconds: float = 1,
    size: str = "320x240",
    video: str = "libx264 -preset ultrafast -pix_fmt yuv420p",
    audio: str | None = "aac",
    options: str = "-movflags +faststart",
) -> Path:
    """Make a moving test picture with a tone; the ending of `path` chooses the container.

    Args:
        video: ffmpeg's name of the encoder and its options.
        audio: the same for the audio stream; None for a silent video.
        options: of the muxer; without faststart an MP4 has its index at the end.
    """
    picture = ["-f", "lavfi", "-i", f"testsrc2=s={size}:r=25:d={seconds}"]
    tone = ["-f", "lavfi", "-i", f"sine=f=440:d={seconds}"] if audio else []
    audio_options = f"-c:a {audio}".split() if audio else []
    video_options = f"-c:v {video}".split()
    muxer = options.split() if path.suffix in {".mp4", ".mov", ".m4v", ".3gp"} else []
    run_ffmpeg(*picture, *tone, *video_options, *audio_options, *muxer, str(path))
    return path


def make_rotated_video(path: Path, source: Path, *, degrees: int) -> Path:
    """Mark a video as filmed with the phone held otherwise, as phones do it."""
    run_ffmpeg("-i", str(source), "-c", "copy", "-metadata:s:v:0", f"rotate={degrees}", str(path))
    return path


def make_located_video(path: Path, source: Path) -> Path:
    """Write the place and the phone into a video, as phones do it."""
    tags = {"location": "+31.2304+121.4737/", "make": "PhoneMaker", "title": "private title"}
    metadata = [part for key, value in tags.items() for part in ("-metadata", f"{key}={value}")]
    run_ffmpeg(
        "-i", str(source), "-c", "copy", *metadata, "-movflags", "use_metadata_tags", str(path)
    )
    return path


def make_video_of_size(path: Path, *, size_mb: float) -> Path:
    """Make an MP4 of exactly so many million bytes, as a phone records it: 720x1280, 24 Mbit/s."""
    size = round(size_mb * 1_000_000)
    seconds = max(0.2, size * 0.9 * 8 / 24_000_000)
    run_ffmpeg(
        *("-f", "lavfi", "-i", f"testsrc2=s=720x1280:r=30:d={seconds},noise=alls=40:allf=t"),
        *("-f", "lavfi", "-i", f"sine=d={seconds}", "-c:a", "aac"),
        *PHONE_ENCODER.split(),
        str(path),
    )
    append_free_box(path, total_bytes=size)
    return path


def append_free_box(path: Path, *, total_bytes: int) -> None:
    """Bring an MP4 to a size with a box that players step over."""
    missing = total_bytes - path.stat().st_size
    if missing < 8:
        raise ValueError(f"{path} has {path.stat().st_size} bytes already")
    with path.open("ab") as file:
        file.write(missing.to_bytes(4) + b"free")
    os.truncate(path, total_bytes)


def make_audio(path: Path) -> Path:
    """Make a file with a tone and without a picture."""
    run_ffmpeg("-f", "lavfi", "-i", "sine=d=1", str(path))
    return path


def make_audio_with_cover(path: Path, picture: Path) -> Path:
    """Make a tone with a cover, which a demuxer shows as a video stream of one picture."""
    run_ffmpeg(
        *("-f", "lavfi", "-i", "sine=d=1", "-i", str(picture), "-map", "0", "-map", "1"),
        *("-c:v", "copy", "-disposition:v", "attached_pic", str(path)),
    )
    return path


def make_picture(path: Path, *, size: str = "320x240") -> Path:
    """Make one still picture; the ending chooses its kind."""
    run_ffmpeg("-f", "lavfi", "-i", f"testsrc2=s={size}:d=1", "-frames:v", "1", str(path))
    return path


def cut(path: Path, source: Path, *, size: int) -> Path:
    """Keep the first `size` bytes of a file, or all but the last for a negative `size`."""
    path.write_bytes(source.read_bytes()[:size])
    return path


def spoil(path: Path, source: Path, *, begin: float, end: float) -> Path:
    """Copy a file with a part of it, given as shares of its length, overwritten."""
    content = bytearray(source.read_bytes())
    first, last = round(len(content) * begin), round(len(content) * end)
    content[first:last] = bytes(i * 151 % 251 for i in range(last - first))
    path.write_bytes(content)
    return path
