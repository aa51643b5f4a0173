"""A short video as phones upload it, in forms that are ready to be sent."""

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from scripts.benchmarks.report import BenchError
from scripts.samples.content import SAMPLE_VIDEOS, make_video

BOUNDARY = "scripts-bench-form"


def list_uploads(tokens: Sequence[str]) -> list[tuple[bytes, str]]:
    """Return for each token the form with which its owner publishes the video, and its content type.

    Raises:
        BenchError: ffmpeg could not make the video.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        try:
            make_video(SAMPLE_VIDEOS[0], path)
        except subprocess.CalledProcessError as exc:
            raise BenchError(f"ffmpeg could not make a video: {exc.output[-1000:]}") from exc
        video = path.read_bytes()
    return [
        (_make_form(token, video), f"multipart/form-data; boundary={BOUNDARY}") for token in tokens
    ]


def _make_form(token: str, video: bytes) -> bytes:
    texts = "".join(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in (("token", token), ("title", "测试视频"))
    )
    file = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="data"; filename="video.mp4"\r\n'
        "Content-Type: video/mp4\r\n\r\n"
    )
    return texts.encode() + file.encode() + video + f"\r\n--{BOUNDARY}--\r\n".encode()
