"""The main job as the app does it: an account, a real video, the feed, the player."""

import asyncio
import io
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from PIL import Image

from pkg.errors import VideoNotFound
from tests.eventually import eventually
from tests.media_samples import run_ffmpeg
from tests.system.app import App, ids_of, read_envelope, read_refusal, succeeded
from tests.system.publishing import begin_publish, wait_published
from tests.system.system import System

Phone = Callable[[], App]


async def test_a_published_video_shows_in_feed_list_and_count_and_plays(
    author: App, viewer: App, small_video: Path, tmp_path: Path
) -> None:
    assert (await author.user(author.user_id))["work_count"] == 0

    video_id = await author.publish(small_video, "我的第一个视频 🎬")
    listed = await wait_published(author, video_id)

    (shown, *_) = (await viewer.feed())["video_list"]
    assert shown["id"] == video_id
    assert shown == listed
    assert shown["title"] == "我的第一个视频 🎬"
    assert shown["author"] == await viewer.user(author.user_id)
    assert shown["author"]["work_count"] == 1
    video = await viewer.load(shown["play_url"])
    assert video.headers["content-type"] == "video/mp4"
    (tmp_path / "loaded.mp4").write_bytes(video.content)
    run_ffmpeg("-i", str(tmp_path / "loaded.mp4"), "-f", "null", "-")
    assert video.content.index(b"moov") < video.content.index(b"mdat")
    cover = await viewer.load(shown["cover_url"])
    assert cover.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(cover.content)).size == (320, 240)


async def test_a_player_can_seek_in_a_video(author: App, viewer: App, small_video: Path) -> None:
    card = await wait_published(author, await author.publish(small_video))
    whole = (await viewer.load(card["play_url"])).content

    part = await viewer.load(card["play_url"], Range="bytes=100-199")
    tail = await viewer.load(card["play_url"], Range="bytes=-50")
    beyond = await viewer.load(card["play_url"], Range=f"bytes={len(whole)}-")

    assert part.status_code == tail.status_code == 206
    assert part.headers["content-range"] == f"bytes 100-199/{len(whole)}"
    assert part.headers["content-type"] == "video/mp4"
    assert part.content == whole[100:200]
    assert tail.content == whole[-50:]
    assert beyond.status_code == 416


async def test_media_urls_stay_the_same_and_may_be_cached(
    author: App, viewer: App, small_video: Path
) -> None:
    card = await wait_published(author, await author.publish(small_video))

    again = await viewer.videos_of(author.user_id)

    assert [(v["play_url"], v["cover_url"]) for v in again] == [
        (card["play_url"], card["cover_url"])
    ]
    assert "?" not in card["play_url"] + card["cover_url"]
    assert "max-age" in (await viewer.load(card["cover_url"])).headers["cache-control"]


async def test_media_urls_name_the_host_that_the_phone_reached_us_by(
    system: System, author: App, small_video: Path
) -> None:
    card = await wait_published(author, await author.publish(small_video))
    port = system.port("nginx")

    reply = await author.send(
        "GET",
        "douyin/publish/list/",
        user_id=author.user_id,
        headers={"Host": f"192.168.7.9:{port}"},
    )

    (elsewhere,) = succeeded(read_envelope(reply))["video_list"]
    path = card["play_url"].removeprefix(f"http://127.0.0.1:{port}/")
    assert elsewhere["play_url"] == f"http://192.168.7.9:{port}/{path}"
    assert elsewhere["author"]["avatar"].startswith(f"http://192.168.7.9:{port}/media/")


@pytest.mark.parametrize("picture", ["avatar", "background_image"])
async def test_default_pictures_load(author: App, viewer: App, picture: str) -> None:
    card = await viewer.user(author.user_id)

    loaded = await viewer.load(card[picture])

    assert loaded.status_code == 200
    assert loaded.headers["content-type"] in {"image/png", "image/jpeg"}
    Image.open(io.BytesIO(loaded.content)).verify()


async def test_a_card_is_whole_for_everyone(author: App, viewer: App, small_video: Path) -> None:
    await wait_published(author, await author.publish(small_video))
    other = await author_of(viewer)

    cards = [(await app.videos_of(author.user_id))[0] for app in (author, viewer, other)]

    assert cards[0] == cards[1] == cards[2]
    counts = ("favorite_count", "comment_count", "share_count")
    assert {cards[0][name] for name in counts} == {0}
    assert cards[0]["is_favorite"] is False
    user = cards[0]["author"]
    assert user["name"] == author.name
    assert user["is_follow"] is False
    assert user["signature"] == ""
    numbers = ("follow_count", "follower_count", "total_favorited", "favorite_count")
    assert {user[name] for name in numbers} == {0}


async def author_of(viewer: App) -> App:
    """Return a third person."""
    return await App(viewer.http, viewer.base_url, viewer.spoken).register()


@pytest.mark.parametrize(
    "slashes", ["douyin/feed", "douyin/feed/", "/douyin/feed", "//douyin//feed/"]
)
async def test_a_path_answers_with_and_without_its_slashes(viewer: App, slashes: str) -> None:
    reply = await viewer.send("GET", slashes)

    assert reply.status_code == 200
    assert isinstance(succeeded(read_envelope(reply))["video_list"], list)


@pytest.mark.parametrize("slash", ["", "/"])
async def test_posting_works_with_and_without_the_slash(
    phone: Phone, small_video: Path, slash: str
) -> None:
    app = await phone().register()

    login = await app.ask(
        "POST", f"douyin/user/login{slash}", username=app.name, password=app.password
    )
    with small_video.open("rb") as file:
        reply = await app.send(
            "POST",
            f"douyin/publish/action{slash}",
            data={"title": "斜杠"},
            files={"data": ("v.mp4", file, "video/mp4")},
        )

    assert login["user_id"] == app.user_id
    assert succeeded(read_envelope(reply))["video_id"] > 0


@pytest.mark.parametrize("place", ["query", "form first", "form last", "header"])
async def test_a_publish_finds_its_token_in_every_place(
    author: App, small_video: Path, place: str
) -> None:
    token = author.token
    data = {"token": token, "title": "令牌"} if place == "form first" else {"title": "令牌"}
    with small_video.open("rb") as file:
        parts: list[tuple[str, object]] = [("data", ("v.mp4", file, "video/mp4"))]
        if place == "form last":
            parts.append(("token", (None, token)))
        reply = await author.send(
            "POST",
            "douyin/publish/action/",
            data=data,
            files=parts,
            headers={"Authorization": f"Bearer {token}"} if place == "header" else {},
            token=token if place == "query" else None,
        )

    video_id = succeeded(read_envelope(reply))["video_id"]
    assert (await author.publication(video_id))["title"] == "令牌"


async def test_publishing_needs_a_valid_token(viewer: App, small_video: Path) -> None:
    nobody = await viewer.send_video(small_video)
    viewer.token = "forged.token.here"
    forger = await viewer.send_video(small_video)

    read_refusal(nobody, 401)
    read_refusal(forger, 401)


async def test_reading_with_a_broken_token_is_reading_as_nobody(author: App, viewer: App) -> None:
    viewer.token = author.token[:-4] + "AAAA"

    assert await viewer.user(author.user_id) == await author.user(author.user_id)
    assert (await viewer.ask("GET", "douyin/feed/"))["status_code"] == 0


async def test_an_upload_is_told_to_its_author_alone(
    phone: Phone, author: App, small_video: Path
) -> None:
    video_id = await author.publish(small_video, "只有我知道")
    other = await phone().register()

    assert (await author.publication(video_id))["title"] == "只有我知道"
    assert await other.publications() == []
    refused = await other.ask("GET", "douyin/publish/status/", video_id=video_id)
    assert refused["status_code"] == VideoNotFound.status_code


async def test_a_video_shows_nowhere_before_its_media_load(
    author: App, viewer: App, slow_video: Path
) -> None:
    video_id, replying = await begin_publish(author, slow_video)

    while (await author.publication(video_id))["status"] == "processing":
        before = await viewer.videos_of(author.user_id)
        count = (await viewer.user(author.user_id))["work_count"]
        if before == await viewer.videos_of(author.user_id):
            assert count == len(before)
        for card in before:
            assert (await viewer.load(card["play_url"], Range="bytes=0-9")).status_code == 206
        # A look now and then; `eventually` would forgive what the assertions find.
        await asyncio.sleep(0.1)

    (card,) = await viewer.videos_of(author.user_id)
    assert card["id"] == video_id
    assert (await viewer.load(card["cover_url"])).status_code == 200
    assert succeeded(read_envelope(await replying))["video_id"] == video_id


async def test_a_short_video_is_in_the_list_when_the_reply_arrives(
    author: App, small_video: Path
) -> None:
    async def publish_in_time() -> int | None:
        # On a busy machine even a short one may take longer than a reply may wait.
        video_id = await author.publish(small_video)
        listed = ids_of(await author.videos_of(author.user_id))
        return video_id if video_id in listed else None

    told = await author.publication(await eventually(publish_in_time, within_s=60))
    assert (told["status"], told["progress"], told["queue_position"]) == ("published", 100, 0)


async def test_an_unknown_user_is_a_business_error_in_lists_too(viewer: App) -> None:
    for path in ("douyin/user/", "douyin/publish/list/"):
        assert (await viewer.ask("GET", path, user_id=2**52))["status_code"] == 20001


async def test_uploads_of_several_phones_at_once_are_all_published(
    phone: Phone, viewer: App, small_video: Path
) -> None:
    apps = [await phone().register() for _ in range(4)]

    uploaded = await asyncio.gather(*(app.publish(small_video) for app in apps for _ in range(2)))
    owners = [app for app in apps for _ in range(2)]
    await asyncio.gather(
        *(wait_published(app, video) for app, video in zip(owners, uploaded, strict=True))
    )

    shown = (await viewer.feed())["video_list"]
    assert set(uploaded) <= set(ids_of(shown))
    assert [(await viewer.user(app.user_id))["work_count"] for app in apps] == [2] * 4


@pytest.mark.parametrize("size", ["1mb", "45mb"])
async def test_what_phones_film_is_published(
    author: App, request: pytest.FixtureRequest, size: str
) -> None:
    path: Path = request.getfixturevalue(f"video_{size}")
    begun = time.perf_counter()

    video_id = await author.publish(path)

    answered = time.perf_counter()
    card = await wait_published(author, video_id)
    print(
        f"\n{size}: answered after {answered - begun:.2f} s,"
        f" published after {time.perf_counter() - begun:.2f} s"
    )
    part = await author.load(card["play_url"], Range="bytes=500000-500099")
    assert part.status_code == 206
    assert len(part.content) == 100
    assert (await author.load(card["cover_url"])).status_code == 200


async def test_the_api_does_not_redirect(http: httpx.AsyncClient, system: System) -> None:
    for path in ("douyin/feed", "douyin/feed/", "douyin/user", "douyin/message/chat"):
        assert not (await http.get(system.base_url + path)).is_redirect
