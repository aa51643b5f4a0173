"""What the world sees of media: the bytes, their type, and nothing else that the storage says."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx

from tests.system.app import App, read_refusal
from tests.system.publishing import wait_published
from tests.system.system import System

HEADERS = {
    *("server", "date", "connection", "content-type", "content-length", "last-modified", "etag"),
    *("accept-ranges", "content-range", "cache-control", "x-content-type-options", "vary"),
    "x-request-id",
}


async def test_no_reply_about_media_holds_a_word_of_the_storage(
    author: App, small_video: Path, http: httpx.AsyncClient
) -> None:
    card = await wait_published(author, await author.publish(small_video))
    urls = {
        card["play_url"]: "video/mp4",
        card["cover_url"]: "image/jpeg",
        card["author"]["avatar"]: "image/png",
        card["author"]["background_image"]: "image/jpeg",
    }
    for url, content_type in urls.items():
        whole = await http.get(url)
        assert whole.status_code == 200
        replies = [
            whole,
            await http.head(url),
            await http.get(url, headers={"Range": "bytes=0-9"}),
            await http.get(url, headers={"Range": "bytes=-5"}),
            await http.get(url, headers={"If-None-Match": whole.headers["etag"]}),
            await http.get(url, headers={"If-Modified-Since": whole.headers["last-modified"]}),
        ]
        for reply in replies:
            assert reply.status_code in {200, 206, 304}
            assert reply.headers.keys() <= HEADERS, reply.headers
            assert reply.headers["content-type"] == content_type
            assert reply.headers["x-content-type-options"] == "nosniff"
        assert [reply.status_code for reply in replies[2:4]] == [206, 206]


async def test_odd_requests_for_media_are_refused_in_our_words(
    author: App, small_video: Path, http: httpx.AsyncClient
) -> None:
    url = (await wait_published(author, await author.publish(small_video)))["play_url"]
    odd: list[tuple[Callable[[], Awaitable[httpx.Response]], set[int]]] = [
        (lambda: http.get(url, headers={"Range": "bytes=99999999-"}), {416}),
        (lambda: http.get(url, headers={"Range": "bytes=9-1"}), {200, 416}),
        (lambda: http.get(url, headers={"Range": "bytes=x"}), {200, 416}),
        (lambda: http.get(url, headers={"Range": "lines=1-2"}), {200, 416}),
        (lambda: http.get(url, headers={"Range": "bytes=0-0,2-3"}), {200, 206, 416}),
        (lambda: http.get(url, headers={"If-Match": '"nope"'}), {200, 404}),
        (lambda: http.get(url + "x"), {404}),
        (lambda: http.get(url.rpartition("/")[0] + "/"), {404}),
        (lambda: http.get(url + "?uploads"), {200}),
        (lambda: http.get(url + "?versionId=1&response-content-type=text/html"), {200}),
        (lambda: http.get(url, headers={"X-Amz-Date": "x", "Authorization": "AWS4 x"}), {200}),
        (lambda: http.get(url, headers={"Host": "tiktok-video-uploads.s3.amazonaws.com"}), {200}),
        (lambda: http.post(url), {405}),
        (lambda: http.put(url, content=b"<script>"), {405}),
        (lambda: http.request("PROPFIND", url), {405}),
        (lambda: http.options(url), {405}),
    ]
    for number, (ask, statuses) in enumerate(odd):
        reply = await ask()

        assert reply.status_code in statuses, number
        assert reply.headers.keys() <= HEADERS, (number, reply.headers)
        if reply.status_code >= 400:
            assert read_refusal(reply, reply.status_code)["status_code"] > 10000
            assert reply.headers["cache-control"] == "no-store"


async def test_a_path_of_the_media_that_climbs_reaches_no_other_bucket(
    system: System, http: httpx.AsyncClient
) -> None:
    for path in (
        "media/tiktok-videos/..%2ftiktok-video-uploads/",
        "media/tiktok-videos/%2e%2e/%2e%2e/etc/iam",
        "media/tiktok-videos//",
        "media/",
        "media",
    ):
        read_refusal(await http.get(system.base_url + path), 404)
