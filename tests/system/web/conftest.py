"""Windows of a browser, and films to look at."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser

from scripts.browser import open_browser
from scripts.stack.plain_http import NO_CERTIFICATES
from tests.media_samples import make_video
from tests.system.app import App
from tests.system.publishing import wait_published
from tests.system.system import System
from tests.system.web.person import DESKTOP, PHONE, Person, stored_session

OpenWindow = Callable[..., Awaitable[Person]]
# The browser lives in one loop, and so does every test of it.
IN_ONE_LOOP = pytest.mark.asyncio(loop_scope="session")
FILMS, AT_ONCE = 9, 3
VIEWPORTS = pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One browser for all; it ends with the last test."""
    async with open_browser() as opened:
        yield opened


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """Connections of the loop in which the browser lives."""
    async with httpx.AsyncClient(timeout=60, trust_env=False, verify=NO_CERTIFICATES) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def open_window(browser: Browser, phone: Callable[[], App]) -> AsyncIterator[OpenWindow]:
    """Open windows, each with cookies and storage of its own; a script error or a broken policy fails the test."""
    opened: list[Person] = []

    async def open_one(app: App | None = None, **options: Any) -> Person:
        """Open the window of somebody without an account, or of who has logged in as `app`."""
        app = app or phone()
        if app.token:
            options["storage_state"] = stored_session(app)
        context = await browser.new_context(**({"locale": "zh-CN"} | PHONE | options))
        person = Person(context, await context.new_page(), app)
        person.watch()
        opened.append(person)
        return person

    yield open_one
    for person in opened:
        await person.context.close()
    assert [text for person in opened for text in person.unexpected()] == []


@pytest.fixture(scope="session")
def film(samples: Path) -> Path:
    """Twenty seconds that need no encoding, upright as phones film."""
    encoder = "libx264 -preset ultrafast -pix_fmt yuv420p -g 25 -b:v 300k"
    return make_video(samples / "film.mp4", seconds=20, size="180x320", video=encoder)


@dataclass
class Host:
    """Somebody whose films the tests look at; each film but the first is free of likes and comments until a test takes it."""

    app: App
    film_ids: list[int]

    @property
    def kept_film(self) -> int:
        """A film that anyone may look at; who likes it takes that back."""
        return self.film_ids[0]

    def take_film(self) -> int:
        """Return a film that no other test was given."""
        return self.film_ids.pop()

    def route_to(self, film_id: int) -> str:
        """Return where a film is played among the host's works."""
        return f"/user/{self.app.user_id}/works/{film_id}"

    async def show(self, film_id: int, viewer: Person) -> None:
        """Let somebody open a film, and wait until it plays."""
        await viewer.open(self.route_to(film_id))
        await viewer.sees_video(film_id)


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def host(system: System, http: httpx.AsyncClient, film: Path) -> Host:
    """The films are there before the first test."""
    app = await App(http, system.base_url, system.spoken).register()

    async def publish(number: int) -> int:
        film_id = await app.publish(film, f"第 {number} 部影片")
        await wait_published(app, film_id)
        return film_id

    ids: list[int] = []
    for number in range(0, FILMS, AT_ONCE):
        ids += await asyncio.gather(*map(publish, range(number, number + AT_ONCE)))
    return Host(app, ids)


@pytest_asyncio.fixture(loop_scope="session")
async def author(phone: Callable[[], App]) -> App:
    """Somebody who has just registered."""
    return await phone().register()


@pytest_asyncio.fixture(loop_scope="session")
async def fan(phone: Callable[[], App]) -> App:
    """Somebody else who has just registered."""
    return await phone().register()
