"""Somebody before a window of the browser, and the same account as an app, by which a test arranges what it needs."""

import asyncio
import json
import re
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import BrowserContext, ConsoleMessage, Locator, Page, Route, expect

from tests.eventually import eventually
from tests.system.app import App

PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "is_mobile": True,
    "has_touch": True,
}
DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}
# The machine may be busy; what a page does not do within this time it does not do.
PATIENCE_MS = 20_000
expect.set_options(timeout=PATIENCE_MS)
# A deadline that passed on a busy machine is no fault of the page, which has to tell it and go on.
NO_FAULT = "503 (Service Unavailable)"


@dataclass
class Person:
    """One window; `complaints` is what the browser found wrong with the page."""

    context: BrowserContext
    page: Page
    app: App
    complaints: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Collect errors of scripts, refused resources and violations of the page's policy from now on."""
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(f"pageerror: {error}"))

    def expects(self, *patterns: str) -> None:
        """Say what the console may tell in this test, as regular expressions: a refusal that is meant."""
        self.expected += patterns

    def unexpected(self) -> list[str]:
        """Return the complaints that the test did not expect."""
        return [
            text
            for text in self.complaints
            if NO_FAULT not in text
            and not any(re.search(pattern, text) for pattern in self.expected)
        ]

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.type}: {message.text}")

    async def open(self, route: str = "/") -> None:
        """Go to a view of the client."""
        await self.page.goto(f"{self.app.base_url}#{route}")

    async def hold(self, address: str) -> asyncio.Future[Route]:
        """Hold back the next request to such an address; whoever awaits it has to answer it."""
        held: asyncio.Future[Route] = asyncio.get_running_loop().create_future()

        def take(route: Route) -> None:
            held.set_result(route)

        await self.page.route(address, take)
        return held

    # What one finds on a page

    def button(self, name: str, inside: Locator | None = None) -> Locator:
        """Return the button of this name, anywhere or inside something."""
        return (inside or self.page).get_by_role("button", name=name, exact=True)

    def link(self, name: str, inside: Locator | None = None) -> Locator:
        """Return the link of this name."""
        return (inside or self.page).get_by_role("link", name=name, exact=True)

    @property
    def player(self) -> Locator:
        """The video in view."""
        return self.page.locator("video-player.is-active")

    def player_of(self, video_id: int) -> Locator:
        """Return a video of the feed, in view or not; a feed that began anew holds it twice."""
        return self.page.locator(f'video-player[data-video-id="{video_id}"]').first

    @property
    def comments(self) -> Locator:
        """The open comments."""
        return self.page.locator("comments-panel")

    async def sees_video(self, video_id: int) -> None:
        """Wait until this video is in view and plays."""
        await expect(self.player).to_have_attribute("data-video-id", str(video_id))
        await self.sees_motion()

    async def sees_motion(self) -> None:
        """Wait until the video in view has moved on twice."""
        film = self.player.locator("video")

        async def position() -> float:
            now: float = await film.evaluate("film => film.paused ? -1 : film.currentTime")
            return now

        async def moves() -> bool:
            before = await position()
            await self.page.wait_for_timeout(60)
            now = await position()
            return 0 <= before != now >= 0

        await eventually(moves)

    async def list_playing(self) -> list[int]:
        """Return the ids of the videos that play at this moment."""
        found: list[int] = await self.page.locator("video-player").evaluate_all(
            "all => all.filter(one => !one.querySelector('video').paused).map(one => +one.dataset.videoId)"
        )
        return found

    # What one does

    async def fill_account_form(self, name: str, password: str, button: str) -> None:
        """Type name and password into the form in view and send it."""
        form = self.page.locator("#account-form")
        await form.locator("#username").fill(name)
        await form.locator("#password").fill(password)
        await self.button(button, form).click()

    async def comment(self, text: str) -> Locator:
        """Write a comment under the video in view, whose comments are open; return it once it is there."""
        await self.comments.locator("#comment-text").fill(text)
        await self.button("发送", self.comments).click()
        entry = self.comments.locator("li[data-comment-id]").filter(has_text=text)
        await expect(entry).to_be_visible()
        return entry

    async def write(self, text: str) -> None:
        """Send a message in the open chat."""
        await self.page.locator("#message-text").fill(text)
        await self.button("发送", self.page.locator("#message-form")).click()

    def message(self, text: str) -> Locator:
        """Return the message of this text in the open chat."""
        return self.page.locator("#messages li").filter(has_text=text)


def stored_session(app: App) -> dict[str, Any]:
    """Return what the browser of somebody holds who has logged in as `app` before."""
    session = {"user_id": app.user_id, "token": app.token, "name": app.name}
    kept = {"name": "dousheng.session", "value": json.dumps(session)}
    return {"origins": [{"origin": app.base_url.rstrip("/"), "localStorage": [kept]}]}
