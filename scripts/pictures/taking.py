"""Opening a view in a browser's window, waiting until it has drawn itself, taking its picture."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page

from scripts.browser import open_browser
from scripts.pictures.scene import Scene, Viewer
from scripts.stack.report import Report

DEVICES: dict[str, dict[str, Any]] = {
    "phone": {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True},
    "desktop": {"viewport": {"width": 1280, "height": 800}},
}
THEMES = ("dark", "light")
_QUALITY = 80
_DRAWN_WITHIN_MS = 30_000
_PICTURES_ARE_LOADED = (
    """() => Promise.all([...document.images].map(image => image.decode().catch(() => {})))"""
)


def list_views(scene: Scene) -> dict[str, tuple[str, str]]:
    """Return by name the route of each view, and what shows that it is there."""
    me, friend = f"/user/{scene.viewer.user_id}", f"/user/{scene.friend.user_id}"
    return {
        "feed": ("/", "video-player.is-active"),
        "comments": ("/", "video-player.is-active"),
        "profile": (friend, "a.work"),
        "people": (f"{me}/friends", "li[data-user-id]"),
        "messages": ("/messages", "li[data-user-id]"),
        "chat": (f"/chat/{scene.friend.user_id}", "#messages li"),
        "publish": ("/publish", "li.upload"),
    }


async def take_pictures(base_url: str, scene: Scene, folder: Path, *, report: Report) -> None:
    """Write `<device>-<theme>-<view>.jpg` of every view into the folder; `base_url` has no slash at its end."""
    async with open_browser() as browser:
        for device in DEVICES:
            for theme in THEMES:
                async with _open_page(
                    browser, base_url, device, theme, viewer=scene.viewer
                ) as page:
                    for view, (route, drawn) in list_views(scene).items():
                        await page.goto(f"{base_url}/#{route}")
                        await _draw(page, view, drawn)
                        await _take(page, folder / f"{device}-{theme}-{view}.jpg", report)
                async with _open_page(browser, base_url, device, theme) as page:
                    await page.goto(f"{base_url}/#/login")
                    await _draw(page, "login", "#username")
                    await _take(page, folder / f"{device}-{theme}-login.jpg", report)


@asynccontextmanager
async def _open_page(
    browser: Browser, base_url: str, device: str, theme: str, *, viewer: Viewer | None = None
) -> AsyncIterator[Page]:
    options = DEVICES[device] | {"color_scheme": theme, "locale": "zh-CN"}
    if viewer is not None:
        kept = {"name": "dousheng.session", "value": json.dumps(vars(viewer))}
        options["storage_state"] = {"origins": [{"origin": base_url, "localStorage": [kept]}]}
    context = await browser.new_context(**options)
    page = await context.new_page()
    page.set_default_timeout(_DRAWN_WITHIN_MS)
    yield page
    await context.close()


async def _draw(page: Page, view: str, drawn: str) -> None:
    await page.locator(drawn).first.wait_for()
    if view == "comments":
        await page.keyboard.press("c")
        await page.locator("comments-panel li").first.wait_for()
    await page.evaluate(_PICTURES_ARE_LOADED)
    films = page.locator("video-player.is-active video")
    if await films.count():
        await films.first.evaluate(
            "film => film.readyState >= 2 || new Promise(done => film.addEventListener('loadeddata', done, {once: true}))"
        )


async def _take(page: Page, path: Path, report: Report) -> None:
    picture = await page.screenshot(path=path, type="jpeg", quality=_QUALITY)
    report(f"  {path}  {len(picture) // 1024} KB")
