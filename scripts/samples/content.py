"""Who and what is put in."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SampleUser:
    """Somebody to log in as."""

    name: str
    password: str


@dataclass(frozen=True)
class SampleVideo:
    """A few seconds of video and audio, as ffmpeg's sources make them."""

    author: SampleUser
    title: str
    picture: str
    pitch_hz: int


_MEI = SampleUser("小美", "xiaomei-123")
_MING = SampleUser("小明", "xiaoming-123")
_LEI = SampleUser("小雷", "xiaolei-123")
SAMPLE_USERS = (_MEI, _MING, _LEI)
SAMPLE_VIDEOS = (
    SampleVideo(_MEI, "第一个视频 🎬", "testsrc2=size=720x1280:rate=25", 440),
    SampleVideo(_MING, "渐变光影", "gradients=size=720x1280:rate=25", 330),
    SampleVideo(_MEI, "生命游戏", "life=size=90x160:rate=10:ratio=0.2,scale=720:1280", 550),
    SampleVideo(_LEI, "彩条测试", "smptehdbars=size=720x1280:rate=25", 660),
)


def make_video(video: SampleVideo, path: Path) -> None:
    """Render four seconds as H.264 with AAC, the way phones send them.

    Raises:
        CalledProcessError: ffmpeg could not; its output tells why.
    """
    subprocess.run(
        [
            *("ffmpeg", "-nostdin", "-v", "error", "-y"),
            *("-f", "lavfi", "-i", video.picture),
            *("-f", "lavfi", "-i", f"sine=frequency={video.pitch_hz}:sample_rate=44100"),
            *("-t", "4", "-c:v", "libx264", "-preset", "ultrafast", "-crf", "30"),
            *("-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "64k", str(path)),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
