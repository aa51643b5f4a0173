"""Sample users and videos, put in over HTTP as the app would do it."""

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from scripts.stack.files import write_private
from scripts.stack.processes import wait_until
from scripts.stack.report import Report, StackError, step
from scripts.stack.site import Site

_PUBLISHED_WITHIN_S = 90


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
_SAMPLE_VIDEOS = (
    SampleVideo(_MEI, "第一个视频 🎬", "testsrc2=size=720x1280:rate=25", 440),
    SampleVideo(_MING, "渐变光影", "gradients=size=720x1280:rate=25", 330),
    SampleVideo(_MEI, "生命游戏", "life=size=90x160:rate=10:ratio=0.2,scale=720:1280", 550),
    SampleVideo(_LEI, "彩条测试", "smptehdbars=size=720x1280:rate=25", 660),
)


def seed(site: Site, *, report: Report, again: bool = False) -> None:
    """Register the sample users, publish the sample videos and wait until the feed shows them.

    Does nothing where it was done before, unless `again`; what is there already is not doubled.

    Raises:
        StackError: the system refused something, or a video did not get published in time.
    """
    marker = site.run_dir / "seeded"
    if marker.exists() and not again:
        return
    base_url = f"http://127.0.0.1:{site.ports.of('nginx')}/douyin"
    try:
        with httpx.Client(base_url=base_url, timeout=30, trust_env=False) as http:
            _put_in(http, report)
    except httpx.HTTPError as exc:
        raise StackError(
            f"the samples could not be put in: {exc}",
            fix="see scripts/status, then run scripts/seed",
        ) from exc
    write_private(marker, "")


def _put_in(http: httpx.Client, report: Report) -> None:
    with step(report, f"{len(SAMPLE_USERS)} sample users"):
        viewers = {user: _log_in(http, user) for user in SAMPLE_USERS}
    with step(report, f"{len(_SAMPLE_VIDEOS)} sample videos"):
        _publish_all(http, viewers)


@dataclass(frozen=True)
class _Viewer:
    user_id: int
    token: str


def _log_in(http: httpx.Client, user: SampleUser) -> _Viewer:
    """Log in, registering where the name is not known yet."""
    identity = {"username": user.name, "password": user.password}
    reply = http.post("/user/register/", params=identity).json()
    if reply["status_code"] != 0:
        reply = _accepted(http.post("/user/login/", params=identity), f"login of {user.name}")
    return _Viewer(reply["user_id"], reply["token"])


def _publish_all(http: httpx.Client, viewers: dict[SampleUser, _Viewer]) -> None:
    published: dict[int, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, video in enumerate(_SAMPLE_VIDEOS):
            viewer = viewers[video.author]
            if video.title in _list_titles(http, viewer):
                continue
            path = Path(folder) / f"{number}.mp4"
            _make_video(video, path)
            published[_publish(http, viewer, video, path)] = viewer.token
    for video_id, token in published.items():
        _wait_published(http, video_id, token)
    shown = {video["id"] for video in _accepted(http.get("/feed/"), "feed")["video_list"]}
    if not shown.issuperset(published):
        raise StackError(f"the feed does not show the videos {set(published) - shown}")


def _list_titles(http: httpx.Client, viewer: _Viewer) -> set[str]:
    params: dict[str, str | int] = {"user_id": viewer.user_id, "token": viewer.token}
    reply = _accepted(http.get("/publish/list/", params=params), "publish list")
    return {video["title"] for video in reply["video_list"]}


def _publish(http: httpx.Client, viewer: _Viewer, video: SampleVideo, path: Path) -> int:
    with path.open("rb") as file:
        reply = http.post(
            "/publish/action/",
            data={"token": viewer.token, "title": video.title},
            files={"data": (path.name, file, "video/mp4")},
        )
    video_id: int = _accepted(reply, f"publishing {video.title}")["video_id"]
    return video_id


def _wait_published(http: httpx.Client, video_id: int, token: str) -> None:
    params: dict[str, str | int] = {"token": token, "video_id": video_id}

    def settled() -> bool:
        reply = _accepted(http.get("/publish/status/", params=params), "publish status")
        (entry,) = reply["publish_list"]
        if entry["status"] == "failed":
            raise StackError(f"sample video {video_id} failed: {entry['reason']}")
        return bool(entry["status"] == "published")

    if not wait_until(settled, timeout_s=_PUBLISHED_WITHIN_S, interval_s=0.3):
        raise StackError(
            f"sample video {video_id} was not published within {_PUBLISHED_WITHIN_S} s",
            fix="read scripts/logs video, then run scripts/seed",
        )


def _accepted(response: httpx.Response, action: str) -> dict[str, Any]:
    """Return the reply's body where the action succeeded."""
    body: dict[str, Any] = response.json()
    if body["status_code"] != 0:
        raise StackError(
            f"{action} was answered with HTTP {response.status_code}: {body}",
            fix="read scripts/logs gateway, then run scripts/seed",
        )
    return body


def _make_video(video: SampleVideo, path: Path) -> None:
    """Render four seconds as H.264 with AAC, the way phones send them."""
    made = subprocess.run(
        [
            *("ffmpeg", "-nostdin", "-v", "error", "-y"),
            *("-f", "lavfi", "-i", video.picture),
            *("-f", "lavfi", "-i", f"sine=frequency={video.pitch_hz}:sample_rate=44100"),
            *("-t", "4", "-c:v", "libx264", "-preset", "ultrafast", "-crf", "30"),
            *("-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "64k", str(path)),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        raise StackError(
            "ffmpeg could not make a sample video", log_tail=made.stderr.splitlines()[-10:]
        )
