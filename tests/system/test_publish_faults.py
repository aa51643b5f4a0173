"""What is no video, or too long, or broken: it is told, and nothing of it stays."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.media_samples import cut, make_audio, make_picture
from tests.system.app import App, Json, read_envelope, upload_until_refused
from tests.system.publishing import Remains, wait_published
from tests.system.system import System, peak_memory

MB = 1024 * 1024
LIMIT_BYTES = 50 * MB
UNSUPPORTED = 30002
REJECTED = 30003
# What nginx, the kernel and the gateway may hold of an upload that is refused.
IN_FLIGHT_BYTES = 16 * MB
MOST_GROWTH_MB = 40


@pytest.fixture(scope="session")
def text_file(samples: Path) -> Path:
    """Words in a file that calls itself a video."""
    path = samples / "words.mp4"
    path.write_text("这不是视频。\n" * 2000)
    return path


@pytest.fixture(scope="session")
def picture_file(samples: Path) -> Path:
    """A still picture."""
    return make_picture(samples / "still.png")


async def read_rejection(author: App, reply: httpx.Response) -> Json:
    """Check that the reply tells what `publish/status` tells of the author's only upload; return that."""
    (entry,) = await author.publications()
    assert entry["status"] == "failed"
    assert reply.status_code == 200
    body = read_envelope(reply)
    assert (body["status_code"], body["status_msg"]) == (REJECTED, entry["reason"])
    return entry


@pytest.mark.parametrize("kind", ["text_file", "picture_file"])
async def test_what_is_no_video_is_refused_in_the_reply(
    author: App, remains: Remains, request: pytest.FixtureRequest, kind: str
) -> None:
    path: Path = request.getfixturevalue(kind)

    reply = await author.send_video(path, name="holiday.mp4")

    assert reply.status_code == 200
    body = read_envelope(reply)
    assert body["status_code"] == UNSUPPORTED
    assert body["status_msg"]
    assert await author.publications() == []
    await remains.check()


async def test_a_truncated_mp4_is_told_in_the_reply_and_the_status_with_a_reason(
    author: App, viewer: App, *, video_1mb: Path, remains: Remains, tmp_path: Path
) -> None:
    reply = await author.send_video(cut(tmp_path / "cut.mp4", video_1mb, size=300_000), "被截断")

    told = await read_rejection(author, reply)

    assert told["title"] == "被截断"
    assert told["reason"]
    assert not any(word in told["reason"] for word in ("/", "ffmpeg", "moov"))
    assert await viewer.videos_of(author.user_id) == []
    assert (await viewer.user(author.user_id))["work_count"] == 0
    await remains.check(rows=1)


async def test_an_audio_file_without_a_picture_is_told_in_the_reply(
    author: App, remains: Remains, samples: Path
) -> None:
    reply = await author.send_video(make_audio(samples / "song.mp4"))

    assert (await read_rejection(author, reply))["reason"]
    await remains.check(rows=1)


@pytest.mark.parametrize("title", ["", "   ", "长" * 51, "a\x07b"])
async def test_a_bad_title_is_a_business_error(
    author: App, small_video: Path, remains: Remains, title: str
) -> None:
    with small_video.open("rb") as file:
        reply = await author.send(
            "POST",
            "douyin/publish/action/",
            data={"title": title},
            files={"data": ("v.mp4", file, "video/mp4")},
        )

    assert reply.status_code == 200
    assert read_envelope(reply)["status_code"] == 10001
    await remains.check()


@pytest.mark.parametrize("through", ["nginx", "gateway"])
@pytest.mark.parametrize("declare_length", [True, False], ids=["declared", "chunked"])
async def test_an_upload_over_the_limit_is_refused_while_it_is_sent(
    system: System, author: App, *, remains: Remains, through: str, declare_length: bool
) -> None:
    base_url = system.base_url if through == "nginx" else system.gateway_url

    refused = await upload_until_refused(
        base_url, author.token, size=60 * MB, declare_length=declare_length
    )

    assert refused.http_status == 413
    assert refused.body["status_code"] == 10006
    longest = 0 if declare_length else LIMIT_BYTES
    assert refused.sent_bytes <= longest + IN_FLIGHT_BYTES
    assert await author.publications() == []
    await remains.wait_clean()


async def test_an_upload_that_breaks_off_leaves_nothing(
    system: System, author: App, remains: Remains
) -> None:
    async def half() -> AsyncIterator[bytes]:
        yield b'--xx\r\nContent-Disposition: form-data; name="title"\r\n\r\nhalf\r\n'
        yield b'--xx\r\nContent-Disposition: form-data; name="data"; filename="v.mp4"\r\n\r\n'
        yield b"\0\0\0\x20ftypisom" + bytes(MB)
        raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        await author.http.post(
            system.base_url + "douyin/publish/action/",
            params={"token": author.token},
            content=half(),
            headers={"Content-Type": "multipart/form-data; boundary=xx"},
        )

    await remains.wait_clean()
    assert await author.publications() == []


async def test_publishing_without_a_token_is_refused_before_the_file_is_sent(
    system: System, remains: Remains
) -> None:
    refused = await upload_until_refused(
        system.base_url, "forged", size=45 * MB, declare_length=True
    )

    assert refused.http_status == 401
    assert refused.sent_bytes <= IN_FLIGHT_BYTES
    await remains.wait_clean()


async def test_memory_does_not_grow_with_an_upload(
    system: System, author: App, small_video: Path, video_45mb: Path
) -> None:
    await wait_published(author, await author.publish(small_video))

    with (
        peak_memory(system.stack.pid("gateway")) as gateway,
        peak_memory(system.stack.pid("video")) as video,
    ):
        await wait_published(author, await author.publish(video_45mb))

    print(f"\ngateway +{gateway.growth_mb:.1f} MB, video +{video.growth_mb:.1f} MB")
    assert gateway.growth_mb < MOST_GROWTH_MB
    assert video.growth_mb < MOST_GROWTH_MB


async def test_a_refused_upload_can_be_followed_by_a_good_one(
    author: App, text_file: Path, small_video: Path
) -> None:
    await author.send_video(text_file)

    card = await wait_published(author, await author.publish(small_video))

    assert card["author"]["work_count"] == 1


async def test_a_broken_form_is_a_business_error(
    system: System, author: App, http: httpx.AsyncClient
) -> None:
    url = system.base_url + "douyin/publish/action/"
    form = {"Content-Type": "multipart/form-data; boundary=xx"}
    bodies = [(form, b"junk"), (form, b"--xx\r\n\r\n"), ({"Content-Type": "video/mp4"}, b"\0" * 99)]

    replies = [
        await http.post(url, params={"token": author.token}, content=body, headers=headers)
        for headers, body in bodies
    ]

    assert [reply.status_code for reply in replies] == [200, 200, 200]
    assert {read_envelope(reply)["status_code"] for reply in replies} == {10001}
