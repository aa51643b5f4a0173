"""Looking: the feed plays what is in view, on a phone and on a desktop, without an account."""

from collections.abc import Callable
from typing import Any

import pytest_asyncio
from playwright.async_api import expect

from tests.eventually import eventually
from tests.system.app import App, ids_of
from tests.system.web.conftest import IN_ONE_LOOP, VIEWPORTS, Host, OpenWindow
from tests.system.web.person import DESKTOP, Person

pytestmark = IN_ONE_LOOP

IS_PAUSED = "film => film.paused"


@pytest_asyncio.fixture(loop_scope="session")
async def newest(host: Host, phone: Callable[[], App]) -> list[int]:
    """What the feed begins with."""
    return ids_of((await phone().feed())["video_list"])


async def see_newest(open_window: OpenWindow, newest: list[int], **viewport: Any) -> Person:
    """Give somebody who has opened the client and sees the first video."""
    viewer = await open_window(**viewport)
    await viewer.open()
    await viewer.sees_video(newest[0])
    return viewer


@VIEWPORTS
async def test_the_video_in_view_plays_and_its_neighbour_pauses(
    open_window: OpenWindow, newest: list[int], viewport: dict[str, Any]
) -> None:
    above, below = newest[:2]
    viewer = await open_window(**viewport)

    await viewer.open()
    await viewer.sees_video(above)
    await viewer.page.keyboard.press("ArrowDown")
    await viewer.sees_video(below)

    assert await viewer.list_playing() == [below]
    await viewer.page.keyboard.press("ArrowUp")
    await viewer.sees_video(above)
    assert await viewer.list_playing() == [above]


async def test_a_swipe_snaps_to_the_next_video_and_the_two_after_it_are_loaded(
    open_window: OpenWindow, newest: list[int]
) -> None:
    viewer = await see_newest(open_window, newest)

    async def are_loaded() -> bool:
        films = [viewer.player_of(video_id).locator("video") for video_id in newest[1:3]]
        states = [await film.evaluate("film => film.readyState") for film in films]
        return all(state >= 2 for state in states)

    await eventually(are_loaded)
    assert not await viewer.player_of(newest[3]).locator("video").get_attribute("src")
    poster = await viewer.player_of(newest[1]).locator("video").get_attribute("poster")
    assert poster
    assert "/media/tiktok-video-covers/" in poster

    await viewer.page.locator(".track").evaluate("t => t.scrollBy(0, t.clientHeight * 0.8)")

    await viewer.sees_video(newest[1])
    box = await viewer.player.bounding_box()
    assert box
    assert abs(box["y"]) < 2


async def test_a_video_seeks_by_keys_and_by_its_progress_bar(
    open_window: OpenWindow, newest: list[int]
) -> None:
    viewer = await see_newest(open_window, newest, **DESKTOP)
    film = viewer.player.locator("video")

    async def is_about(second: float) -> None:
        async def there() -> bool:
            return abs(float(await film.evaluate("f => f.currentTime")) - second) < 1.5

        await eventually(there)

    await viewer.page.keyboard.press("Space")
    await eventually(lambda: film.evaluate(IS_PAUSED))
    at = float(await film.evaluate("f => f.currentTime"))
    await viewer.page.keyboard.press("ArrowRight")
    await is_about(at + 5)
    await viewer.page.keyboard.press("ArrowLeft")
    await is_about(at)
    slider = viewer.player.get_by_role("slider", name="播放进度")
    await slider.fill("500")
    await is_about(10)
    await viewer.page.keyboard.press("Space")
    await viewer.sees_motion()


async def test_after_a_click_on_the_progress_bar_arrows_lead_to_the_next_video(
    open_window: OpenWindow, newest: list[int]
) -> None:
    viewer = await see_newest(open_window, newest, **DESKTOP)
    film = viewer.player.locator("video")
    slider = viewer.player.get_by_role("slider", name="播放进度")
    bar = await slider.bounding_box()
    assert bar

    await viewer.page.keyboard.press("Space")
    await viewer.page.mouse.click(bar["x"] + bar["width"] / 2, bar["y"] + bar["height"] / 2)

    middle = float(await film.evaluate("f => f.duration")) / 2

    async def is_at(second: float) -> bool:
        return abs(float(await film.evaluate("f => f.currentTime")) - second) < 1

    await eventually(lambda: is_at(middle))
    await viewer.page.keyboard.press("ArrowDown")
    await viewer.sees_video(newest[1])
    # Reached by keyboard it is a slider: every arrow moves it by as much as can be seen.
    await viewer.page.keyboard.press("Space")
    await viewer.player.get_by_role("slider", name="播放进度").press("Home")
    film = viewer.player.locator("video")
    await eventually(lambda: is_at(0))
    await viewer.page.keyboard.press("ArrowUp")
    await eventually(lambda: is_at(5))
    await viewer.page.keyboard.press("ArrowLeft")
    await eventually(lambda: is_at(0))
    await expect(viewer.player).to_have_attribute("data-video-id", str(newest[1]))


async def test_sound_is_off_until_it_is_wanted_and_stays_on_for_the_next_video(
    open_window: OpenWindow, newest: list[int]
) -> None:
    above, below = newest[:2]
    viewer = await open_window()
    await viewer.open()
    await viewer.sees_video(above)
    assert await viewer.player.locator("video").evaluate("f => f.muted")

    await viewer.button("打开声音", viewer.player).click()

    await expect(viewer.button("关闭声音", viewer.player)).to_be_visible()
    assert not await viewer.player.locator("video").evaluate("f => f.muted")
    await viewer.page.keyboard.press("ArrowDown")
    await viewer.sees_video(below)
    assert not await viewer.player.locator("video").evaluate("f => f.muted")
    await viewer.page.keyboard.press("m")
    await expect(viewer.button("打开声音", viewer.player)).to_be_visible()


async def test_a_tap_pauses_and_another_one_goes_on(
    open_window: OpenWindow, newest: list[int]
) -> None:
    viewer = await see_newest(open_window, newest)

    await viewer.button("暂停", viewer.player).tap()

    await expect(viewer.button("播放", viewer.player)).to_be_visible()
    assert await viewer.player.locator("video").evaluate(IS_PAUSED)
    await viewer.button("播放", viewer.player).tap()
    await viewer.sees_motion()


async def test_the_feed_goes_on_past_its_first_page_and_begins_anew_at_its_end(
    open_window: OpenWindow, host: Host, phone: Callable[[], App]
) -> None:
    """The replies of the feed are cut to pages of three: what matters is that the client asks for the next one."""
    everything = await phone().walk_feed()
    viewer = await open_window()

    async def cut(route: Any) -> None:
        reply = await route.fetch()
        body = await reply.json()
        shown = body["video_list"][:3]
        body |= {"video_list": shown, "next_time": shown[-1]["create_time"]} if shown else {}
        await route.fulfill(response=reply, json=body)

    await viewer.page.route("**/douyin/feed/**", cut)
    await viewer.open()

    async def has_more() -> bool:
        await viewer.page.keyboard.press("ArrowDown")
        shown = await viewer.page.locator("video-player").evaluate_all(
            "all => all.map(p => +p.dataset.videoId)"
        )
        ids = [video["id"] for video in everything]
        return len(shown) >= min(7, len(ids)) and shown[: len(ids)] == ids[: len(shown)]

    await eventually(has_more, interval_s=0.4)
