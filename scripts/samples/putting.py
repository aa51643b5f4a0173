"""Registering, publishing, and waiting until the feed shows it."""

import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

from scripts.samples.content import SAMPLE_USERS, SAMPLE_VIDEOS, SampleUser, SampleVideo, make_video

_PUBLISHED_WITHIN_S = 90
_POLL_S = 0.3
_TIMEOUT_S = 30


class SamplesRefused(Exception):
    """The system does not answer, or refused something; the text says what."""


@dataclass(frozen=True)
class _Viewer:
    user_id: int
    token: str


class _Api:
    """The HTTP API below `…/douyin`."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url.rstrip("/")
        self._pool = urllib3.PoolManager(timeout=_TIMEOUT_S, retries=False)

    def ask(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        """Return the reply's body, whatever it says."""
        try:
            reply = self._pool.request(method, f"{self._base_url}{path}", **request)
            body: dict[str, Any] = reply.json()
        except (urllib3.exceptions.HTTPError, ValueError) as exc:
            raise SamplesRefused(f"{path}: {exc}") from exc
        return body

    def demand(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        """Return the reply's body where the action succeeded."""
        body = self.ask(method, path, **request)
        if body["status_code"] != 0:
            raise SamplesRefused(f"{path} was answered with {body}")
        return body


def put_samples_in(base_url: str) -> tuple[int, int]:
    """Put in what is missing and return how many users and videos there are; `base_url` ends with `/douyin`.

    Raises:
        SamplesRefused: the system refused something, or a video did not get published in time.
    """
    api = _Api(base_url)
    viewers = {user: _log_in(api, user) for user in SAMPLE_USERS}
    _publish_all(api, viewers)
    return len(SAMPLE_USERS), len(SAMPLE_VIDEOS)


def _log_in(api: _Api, user: SampleUser) -> _Viewer:
    """Log in, registering where the name is not known yet."""
    identity = {"username": user.name, "password": user.password}
    reply = api.ask("POST", "/user/register/", fields=identity, encode_multipart=False)
    if reply["status_code"] != 0:
        reply = api.demand("POST", "/user/login/", fields=identity, encode_multipart=False)
    return _Viewer(reply["user_id"], reply["token"])


def _publish_all(api: _Api, viewers: dict[SampleUser, _Viewer]) -> None:
    published: dict[int, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, video in enumerate(SAMPLE_VIDEOS):
            viewer = viewers[video.author]
            if video.title in _list_titles(api, viewer):
                continue
            path = Path(folder) / f"{number}.mp4"
            _make(video, path)
            published[_publish(api, viewer, video, path)] = viewer.token
    for video_id, token in published.items():
        _wait_published(api, video_id, token)
    shown = {video["id"] for video in api.demand("GET", "/feed/")["video_list"]}
    if not shown.issuperset(published):
        raise SamplesRefused(f"the feed does not show the videos {set(published) - shown}")


def _make(video: SampleVideo, path: Path) -> None:
    try:
        make_video(video, path)
    except subprocess.CalledProcessError as exc:
        raise SamplesRefused(f"ffmpeg could not make a sample video: {exc.output[-2000:]}") from exc


def _list_titles(api: _Api, viewer: _Viewer) -> set[str]:
    fields = {"user_id": viewer.user_id, "token": viewer.token}
    reply = api.demand("GET", "/publish/list/", fields=fields)
    return {video["title"] for video in reply["video_list"]}


def _publish(api: _Api, viewer: _Viewer, video: SampleVideo, path: Path) -> int:
    fields = {
        "token": viewer.token,
        "title": video.title,
        "data": (path.name, path.read_bytes(), "video/mp4"),
    }
    video_id: int = api.demand("POST", "/publish/action/", fields=fields)["video_id"]
    return video_id


def _wait_published(api: _Api, video_id: int, token: str) -> None:
    deadline = time.monotonic() + _PUBLISHED_WITHIN_S
    while True:
        fields = {"token": token, "video_id": video_id}
        (entry,) = api.demand("GET", "/publish/status/", fields=fields)["publish_list"]
        if entry["status"] == "published":
            return
        if entry["status"] == "failed":
            raise SamplesRefused(f"sample video {video_id} failed: {entry['reason']}")
        if time.monotonic() > deadline:
            raise SamplesRefused(
                f"sample video {video_id} was not published within {_PUBLISHED_WITHIN_S} s"
            )
        time.sleep(_POLL_S)
