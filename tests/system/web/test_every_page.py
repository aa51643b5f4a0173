"""What holds on every page: nothing serious for axe-core, both languages, light and dark, keyboard and reduced motion."""

from collections.abc import Callable
from typing import Any, Literal

import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import expect

from tests.system.app import App, ids_of
from tests.system.web.conftest import IN_ONE_LOOP, VIEWPORTS, Host, OpenWindow
from tests.system.web.person import DESKTOP, Person

pytestmark = IN_ONE_LOOP

Theme = Literal["light", "dark"]
SERIOUS = {"serious", "critical"}
LOOKED_AT: dict[Theme, dict[str, Any]] = {"light": {}, "dark": {"runOnly": ["color-contrast"]}}
BRIGHTNESS = """() => {
    const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/[0-9.]+/g).map(Number);
    return r + g + b;
}"""
OUT_OF_REACH = """() => [...document.querySelectorAll('main :is(a, button, input, textarea, h1, p)')]
    .filter(element => !element.closest('[inert]'))
    .map(element => [element.outerHTML.slice(0, 120), element.getBoundingClientRect()])
    .filter(([, box]) => box.width && (box.left < -1 || box.right > innerWidth + 1))
    .map(([html]) => html)"""
# The longest that anything on the page, or what its styles add before and after it, takes to move, in seconds.
LONGEST_MOTION_S = """() => Math.max(...[...document.querySelectorAll('*')].flatMap(element =>
    ['', '::before', '::after'].flatMap(part => {
        const style = getComputedStyle(element, part);
        return [style.transitionDuration, style.animationDuration].flatMap(s => s.split(',').map(parseFloat));
    })))"""


@pytest_asyncio.fixture(loop_scope="session")
async def friend(host: Host, phone: Callable[[], App]) -> App:
    """A friend of the host, who has written to them and below their first film."""
    friend = await phone().register()
    for one, other in ((host.app, friend), (friend, host.app)):
        await one.post("douyin/relation/action/", to_user_id=other.user_id, action_type=1)
    comment = {"video_id": host.kept_film, "action_type": 1, "comment_text": "好看"}
    await friend.post("douyin/comment/action/", **comment)
    message = {"to_user_id": host.app.user_id, "action_type": 1, "content": "你好"}
    await friend.post("douyin/message/action/", **message)
    return friend


def views_of(host: Host, friend: App) -> dict[str, str]:
    """Return the routes of all views for the host, and what shows that each has drawn itself."""
    me = f"/user/{host.app.user_id}"
    return {
        host.route_to(host.kept_film): "video-player.is-active",
        "/publish": "li.upload",
        me: "a.work",
        f"{me}/followers": "li[data-user-id]",
        f"{me}/friends": "li[data-user-id]",
        "/messages": "li[data-user-id]",
        f"/chat/{friend.user_id}": "#messages li",
        "/nowhere": "main h1",
    }


async def find_serious(person: Person) -> list[str]:
    """Return what axe-core calls serious or critical on the page, in the light theme and in the dark one.

    Of the dark one only the contrast is looked at again: a theme changes nothing but colours.
    """
    found = []
    for theme, rules in LOOKED_AT.items():
        await person.page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        result = await Axe().run(person.page, options={"resultTypes": ["violations"]} | rules)
        found += [(theme, item) for item in result.response["violations"]]
    return [
        f"{theme} {item['id']}: {node['html'][:160]} {node['failureSummary']}"
        for theme, item in found
        if item["impact"] in SERIOUS
        for node in item["nodes"]
    ]


@VIEWPORTS
async def test_axe_finds_nothing_serious_on_any_page(
    open_window: OpenWindow, host: Host, friend: App, viewport: dict[str, Any]
) -> None:
    person = await open_window(host.app, **viewport)

    for route, drawn in views_of(host, friend).items():
        await person.open(route)
        await expect(person.page.locator(drawn).first).to_be_visible()
        assert await find_serious(person) == [], route
        if route == host.route_to(host.kept_film):
            await person.page.keyboard.press("c")
            await expect(person.comments.locator("li[data-comment-id]").first).to_be_visible()
            assert await find_serious(person) == [], "comments"
    stranger = await open_window(**viewport)
    for route in ("/login", "/register"):
        await stranger.open(route)
        await expect(stranger.page.locator("#username")).to_be_visible()
        assert await find_serious(stranger) == [], route


async def test_on_the_smallest_phones_every_control_is_within_reach(
    open_window: OpenWindow, host: Host, friend: App
) -> None:
    message = {"to_user_id": host.app.user_id, "action_type": 1, "content": "M" * 300}
    await friend.post("douyin/message/action/", **message)
    small: dict[str, Any] = {"viewport": {"width": 320, "height": 568}, "locale": "en-US"}
    person = await open_window(host.app, **small)

    for route, drawn in views_of(host, friend).items():
        await person.open(route)
        await expect(person.page.locator(drawn).first).to_be_visible()
        assert await person.page.evaluate(OUT_OF_REACH) == [], route


async def test_a_browser_is_spoken_to_in_its_language_until_another_is_chosen(
    open_window: OpenWindow,
) -> None:
    person = await open_window(locale="en-US", **DESKTOP)

    await person.open("/login")
    await expect(person.button("Log in", person.page.locator("#account-form"))).to_be_visible()
    assert await person.page.evaluate("document.documentElement.lang") == "en"
    await person.page.get_by_role("button", name="中文").first.click()

    await expect(person.button("登录", person.page.locator("#account-form"))).to_be_visible()
    await person.page.reload()
    await expect(person.button("登录", person.page.locator("#account-form"))).to_be_visible()
    assert await person.page.evaluate("document.documentElement.lang") == "zh-CN"


async def test_the_theme_is_that_of_the_system_until_another_is_chosen(
    open_window: OpenWindow,
) -> None:
    person = await open_window(color_scheme="dark", **DESKTOP)

    await person.open("/login")
    theme = person.page.get_by_role("button", name="主题").first
    await expect(theme).to_be_visible()
    assert await person.page.evaluate(BRIGHTNESS) < 200
    await theme.click()
    await expect(theme).to_have_text("主题:浅色")

    assert await person.page.evaluate(BRIGHTNESS) > 500
    await person.page.reload()
    assert await person.page.evaluate(BRIGHTNESS) > 500


async def test_whoever_wants_less_motion_gets_the_next_video_without_any(
    open_window: OpenWindow, host: Host, phone: Callable[[], App]
) -> None:
    first, second = ids_of((await phone().feed())["video_list"])[:2]
    viewer = await open_window(reduced_motion="reduce", **DESKTOP)
    await viewer.open()
    await viewer.sees_video(first)
    assert await viewer.page.evaluate(LONGEST_MOTION_S) <= 0.001
    await viewer.page.locator(".track").evaluate(
        "track => { track.stops = new Set(); track.onscroll = () => track.stops.add(track.scrollTop); }"
    )

    await viewer.page.keyboard.press("ArrowDown")
    await viewer.sees_video(second)

    stops = await viewer.page.locator(".track").evaluate("track => [...track.stops]")
    assert len(stops) == 1, stops
    await viewer.page.emulate_media(reduced_motion="no-preference")
    assert await viewer.page.evaluate(LONGEST_MOTION_S) > 0.1


async def test_a_keyboard_reaches_everything_and_its_focus_is_seen(
    open_window: OpenWindow,
) -> None:
    person = await open_window(**DESKTOP)
    await person.open("/login")
    await expect(person.page.locator("#username")).to_be_visible()
    focused = """() => {
        const element = document.activeElement;
        // After the last control the browser itself has the focus.
        if (element === document.body) return ['', false];
        const style = getComputedStyle(element);
        return [element.id || element.textContent.trim(), style.outlineStyle !== 'none' || style.boxShadow !== 'none'];
    }"""
    reached: dict[str, bool] = {}
    for _ in range(20):
        await person.page.keyboard.press("Tab")
        name, is_seen = await person.page.evaluate(focused)
        reached[name] = is_seen

    assert {"username", "password", "登录", "首页"} <= reached.keys()
    assert all(is_seen for name, is_seen in reached.items() if name), reached
