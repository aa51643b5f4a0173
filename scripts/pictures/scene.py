"""What there is to be seen: the sample users like, comment and write, where they have not done so yet."""

from dataclasses import dataclass
from typing import Any

import httpx

from scripts.samples import SAMPLE_USERS
from scripts.stack.report import StackError

COMMENTS = ("太好看了!", "这个颜色绝了 🌈", "求教程")
MESSAGES = ("看到你的新视频了", "谢谢!周末再拍一个", "一起去吗?", "好呀,几点出发")
_TIMEOUT_S = 15


@dataclass(frozen=True)
class Viewer:
    """A sample user who has logged in."""

    user_id: int
    name: str
    token: str


@dataclass(frozen=True)
class Scene:
    """For whom pictures are taken, with whom they chat, and which video has comments."""

    viewer: Viewer
    friend: Viewer
    video_id: int


class _Api:
    """The HTTP API for one person after the other."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def ask(self, method: str, path: str, token: str = "", **params: object) -> dict[str, Any]:
        """Return the body of a reply that tells success.

        Raises:
            StackError: there was no such reply; the text says what came instead.
        """
        query = {name: str(value) for name, value in (params | {"token": token}).items() if value}
        try:
            body: dict[str, Any] = self._client.request(
                method, f"/douyin{path}", params=query
            ).json()
        except (httpx.HTTPError, ValueError) as exc:
            raise StackError(f"{path}: {exc}", fix="run scripts/up") from exc
        if body["status_code"] != 0:
            raise StackError(f"{path} was answered with {body}", fix="run scripts/seed")
        return body

    def log_in(self, name: str, password: str) -> Viewer:
        """Return a sample user, logged in."""
        body = self.ask("POST", "/user/login/", username=name, password=password)
        return Viewer(body["user_id"], name, body["token"])


def set_scene(base_url: str) -> Scene:
    """Let the sample users do what a picture should show; nothing is done twice.

    Raises:
        StackError: the stack does not answer, or the samples are not there.
    """
    with httpx.Client(base_url=base_url, timeout=_TIMEOUT_S, trust_env=False) as client:
        api = _Api(client)
        people = [api.log_in(user.name, user.password) for user in SAMPLE_USERS]
        viewer, friend = people[:2]
        for one in people:
            for other in people:
                if one is not other:
                    api.ask(
                        "POST",
                        "/relation/action/",
                        one.token,
                        to_user_id=other.user_id,
                        action_type=1,
                    )
        video_id = api.ask("GET", "/feed/")["video_list"][0]["id"]
        for person in people[1:]:
            api.ask("POST", "/favorite/action/", person.token, video_id=video_id, action_type=1)
        _comment(api, people, video_id)
        _chat(api, viewer, friend)
    return Scene(viewer, friend, video_id)


def _comment(api: _Api, people: list[Viewer], video_id: int) -> None:
    if api.ask("GET", "/comment/list/", video_id=video_id)["comment_list"]:
        return
    for person, text in zip(people, COMMENTS, strict=True):
        comment = {"video_id": video_id, "action_type": 1, "comment_text": text}
        api.ask("POST", "/comment/action/", person.token, **comment)


def _chat(api: _Api, viewer: Viewer, friend: Viewer) -> None:
    if api.ask("GET", "/message/chat/", viewer.token, to_user_id=friend.user_id)["message_list"]:
        return
    for number, text in enumerate(MESSAGES):
        writer, reader = (viewer, friend) if number % 2 else (friend, viewer)
        message = {"to_user_id": reader.user_id, "action_type": 1, "content": text}
        api.ask("POST", "/message/action/", writer.token, **message)
