"""The phone app as a server meets it: what it sends, what it reads, and what it breaks on.

POST parameters and the token travel in the query, a video as a multipart form. The base URL is typed by hand and ends
with a slash. Of a reply the app reads the body of HTTP 200 alone.
"""

import asyncio
import json
import uuid
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

Json = dict[str, Any]
FEED_PAGE = 30
# Past this many pages a walk goes round in circles.
MOST_PAGES = 500
BLOCK = bytes(256 * 1024)


class Spoken:
    """What must never be seen in a log: everything confidential that an app has sent or received."""

    def __init__(self) -> None:
        self.secrets: set[str] = set()

    def add(self, *texts: str) -> None:
        """Remember texts; those that are too short to be told from chance are left out."""
        self.secrets.update(text for text in texts if len(text) >= 8)


@dataclass
class App:
    """One phone; anonymous until `register` or `login`."""

    http: httpx.AsyncClient
    base_url: str
    spoken: Spoken
    user_id: int = 0
    token: str = ""
    name: str = ""
    password: str = field(default="", repr=False)

    async def send(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        files: Any = None,
        data: dict[str, str] | None = None,
        **params: object,
    ) -> httpx.Response:
        """Send one request with `params` in the query; None leaves a parameter out."""
        query = {key: str(value) for key, value in params.items() if value is not None}
        if self.token and "token" not in params:
            query["token"] = self.token
        return await self.http.request(
            method, self.base_url + path, params=query, headers=headers, files=files, data=data
        )

    async def ask(self, method: str, path: str, **params: Any) -> Json:
        """Return the body of a reply as the app reads it: of HTTP 200 alone."""
        response = await self.send(method, path, **params)
        assert response.status_code == 200, f"the app reads nothing of {describe(response)}"
        return read_envelope(response)

    async def get(self, path: str, **params: Any) -> Json:
        """GET what must succeed."""
        return succeeded(await self.ask("GET", path, **params))

    async def post(self, path: str, **params: Any) -> Json:
        """POST what must succeed, everything in the query."""
        return succeeded(await self.ask("POST", path, **params))

    # Accounts

    async def register(self, name: str | None = None, password: str | None = None) -> "App":
        """Create an account and go on as its owner."""
        self.name = name or f"用户-{uuid.uuid4().hex[:20]}"
        self.password = password or f"密码-{uuid.uuid4().hex[:20]}"
        self.spoken.add(self.password)
        self._enter(
            await self.post("douyin/user/register/", username=self.name, password=self.password)
        )
        return self

    async def login(self) -> "App":
        """Log in again with the name and password that were registered."""
        self._enter(
            await self.post("douyin/user/login/", username=self.name, password=self.password)
        )
        return self

    def _enter(self, reply: Json) -> None:
        self.user_id, self.token = reply["user_id"], reply["token"]
        self.spoken.add(self.token)

    async def user(self, user_id: int) -> Json:
        """Return a user's card as this viewer sees it."""
        card: Json = (await self.get("douyin/user/", user_id=user_id))["user"]
        return card

    # Videos

    async def feed(self, latest_time: object = None) -> Json:
        """Return one page of the feed."""
        return await self.get("douyin/feed/", latest_time=latest_time)

    async def walk_feed(self) -> list[Json]:
        """Return what a person sees who scrolls until the feed is at its end."""
        seen: list[Json] = []
        latest_time: int | None = None
        for _ in range(MOST_PAGES):
            page = await self.feed(latest_time)
            if not page["video_list"]:
                return seen
            seen += page["video_list"]
            latest_time = page["next_time"]
        raise AssertionError("the walk has no end")

    async def send_video(
        self, path: Path, title: str | None = None, *, name: str | None = None
    ) -> httpx.Response:
        """Upload a file as the app does it and return the raw reply."""
        title = title or f"标题-{uuid.uuid4().hex[:20]}"
        self.spoken.add(title)
        with path.open("rb") as file:
            return await self.send(
                "POST",
                "douyin/publish/action/",
                data={"title": title},
                files={"data": (name or path.name, file, "video/mp4")},
            )

    async def publish(self, path: Path, title: str | None = None) -> int:
        """Upload a file that must be accepted; return the video's id."""
        response = await self.send_video(path, title)
        assert response.status_code == 200, describe(response)
        video_id: int = succeeded(read_envelope(response))["video_id"]
        return video_id

    async def publication(self, video_id: int) -> Json:
        """Return what became of one upload."""
        reply = await self.get("douyin/publish/status/", video_id=video_id)
        (entry,) = reply["publish_list"]
        assert entry["video_id"] == video_id
        return dict(entry)

    async def publications(self) -> list[Json]:
        """Return what became of the recent uploads, newest first."""
        found: list[Json] = (await self.get("douyin/publish/status/"))["publish_list"]
        return found

    async def videos_of(self, user_id: int) -> list[Json]:
        """Return a user's published videos."""
        found: list[Json] = (await self.get("douyin/publish/list/", user_id=user_id))["video_list"]
        return found

    async def load(self, url: str, **headers: str) -> httpx.Response:
        """Load media as the player does it."""
        return await self.http.get(url, headers=headers)


class PublishedClient(App):
    """The clients and test suites that courses publish for this contract: less careful than the app.

    They send every parameter twice, in the query and in a form, with GET too; they are known by their token alone; they
    read the fields of a reply before its `status_code`; and what they have done they look for at once.
    """

    async def send(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        files: Any = None,
        data: dict[str, str] | None = None,
        **params: object,
    ) -> httpx.Response:
        """Send one request with `params` in the query and in the body, or `data` and `files` in the body alone."""
        own = {"token": self.token} if self.token else {}
        fields = {key: str(value) for key, value in (own | params).items() if value is not None}
        if files is None:
            return await self.http.request(
                method, self.base_url + path, params=fields, headers=headers, data=fields
            )
        return await self.http.request(
            method, self.base_url + path, headers=headers, files=files, data=own | (data or {})
        )

    async def enter(self, name: str) -> "PublishedClient":
        """Register, and log in where the name is taken, which an empty token tells."""
        self.name = self.password = name
        self.spoken.add(name)
        for path in ("douyin/user/register/", "douyin/user/login/"):
            reply = await self.ask("POST", path, username=name, password=name)
            if reply["token"]:
                break
        self._enter(reply)
        return self


def read_envelope(response: httpx.Response) -> Json:
    """Return the JSON body; every reply has the envelope and the app breaks on null."""
    assert response.headers["content-type"].startswith("application/json"), describe(response)
    body: Json = response.json()
    assert isinstance(body["status_code"], int), body
    assert isinstance(body["status_msg"], str), body
    assert not _holds_null(body), body
    return body


def _holds_null(value: object) -> bool:
    # Not by the text: a signature may spell it.
    match value:
        case dict():
            return any(map(_holds_null, value.values()))
        case list():
            return any(map(_holds_null, value))
    return value is None


def read_refusal(response: httpx.Response, http_status: int) -> Json:
    """Return the envelope of an error with this HTTP status."""
    assert response.status_code == http_status, describe(response)
    body = read_envelope(response)
    assert body["status_code"] != 0, body
    if http_status in {429, 503}:
        assert int(response.headers["retry-after"]) > 0
    return body


def succeeded(body: Json) -> Json:
    """Return the body of a reply that tells success."""
    assert body["status_code"] == 0, body
    return body


def describe(response: httpx.Response) -> str:
    """Return what a failed assertion should show of a reply; never its address, which holds a token."""
    return f"HTTP {response.status_code}: {response.text[:500]}"


def ids_of(videos: Collection[Json]) -> list[int]:
    """Return the ids of video cards, in their order."""
    return [video["id"] for video in videos]


@dataclass(frozen=True)
class Refused:
    """How an upload ended that was refused before its end."""

    http_status: int
    body: Json
    sent_bytes: int


async def upload_until_refused(
    base_url: str, token: str, *, size: int, declare_length: bool
) -> Refused:
    """Send a form of `size` bytes until a reply begins, and no byte after that.

    Without `declare_length` the body is chunked, so that only counting can tell that it is too long.
    """
    url = httpx.URL(base_url + "douyin/publish/action/", params={"token": token})
    length = f"Content-Length: {size}" if declare_length else "Transfer-Encoding: chunked"
    reader, writer = await asyncio.open_connection(url.host, url.port)
    head = (
        f"POST {url.raw_path.decode()} HTTP/1.1\r\nHost: {url.netloc.decode()}\r\n{length}\r\n"
        "Content-Type: multipart/form-data; boundary=xx\r\n\r\n"
    )
    part = (
        b'--xx\r\nContent-Disposition: form-data; name="title"\r\n\r\nlong\r\n'
        b'--xx\r\nContent-Disposition: form-data; name="data"; filename="v.mp4"\r\n\r\n'
        b"\0\0\0\x20ftypisom"
    )
    reply = asyncio.create_task(reader.readuntil(b"\r\n\r\n"))
    sent = 0
    try:
        writer.write(head.encode())
        for block in (part, *[BLOCK] * (size // len(BLOCK))):
            writer.write(block if declare_length else b"%x\r\n%s\r\n" % (len(block), block))
            sent += len(block)
            drained = asyncio.ensure_future(writer.drain())
            await asyncio.wait({drained, reply}, timeout=10, return_when=asyncio.FIRST_COMPLETED)
            if reply.done():
                drained.cancel()
                break
            await drained
        async with asyncio.timeout(10):
            headers = (await reply).decode("latin-1").lower()
            size_line = headers.split("content-length: ")[1]
            body = await reader.readexactly(int(size_line.split("\r\n")[0]))
    finally:
        reply.cancel()
        writer.transport.abort()
    return Refused(int(headers.split()[1]), json.loads(body), sent)
