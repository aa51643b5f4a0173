"""The connection is lost and comes back: it is told, and nobody has to do anything."""

from playwright.async_api import expect

from tests.system.app import App
from tests.system.system import System
from tests.system.web.conftest import IN_ONE_LOOP, Host, OpenWindow
from tests.system.web.person import DESKTOP

pytestmark = IN_ONE_LOOP

REFUSED = ("ERR_CONNECTION", "ERR_EMPTY_RESPONSE", "WebSocket", "502", "503", "ERR_SOCKET")


async def test_while_nginx_is_away_it_is_told_and_then_everything_goes_on(
    system: System, open_window: OpenWindow, *, host: Host, author: App, fan: App
) -> None:
    await fan.post("douyin/relation/action/", to_user_id=author.user_id, action_type=1)
    await author.post("douyin/relation/action/", to_user_id=fan.user_id, action_type=1)
    viewer, writer = await open_window(fan), await open_window(author, **DESKTOP)
    for person in (viewer, writer):
        person.expects(*REFUSED)
    await viewer.open(f"/chat/{author.user_id}")
    await writer.open(f"/chat/{fan.user_id}")
    for person in (viewer, writer):
        await expect(person.page.locator(".chat-connection")).to_have_attribute(
            "data-state", "live"
        )

    with system.down("nginx"):
        for person in (viewer, writer):
            await expect(person.page.locator("#connection-banner")).to_be_visible()
        await writer.write("断线时写的")
        await expect(writer.page.locator("#message-form [role=alert]")).not_to_be_empty()
        # A page that is opened meanwhile waits.
        film_id = host.kept_film
        await viewer.page.evaluate(f"location.hash = '{host.route_to(film_id)}'")

    for person in (viewer, writer):
        await expect(person.page.locator("#connection-banner")).to_be_hidden()
    await viewer.sees_video(film_id)
    await expect(writer.page.locator(".chat-connection")).to_have_attribute("data-state", "live")
    await expect(writer.page.locator("#message-text")).to_have_value("断线时写的")
    await viewer.open(f"/chat/{author.user_id}")
    await writer.button("发送", writer.page.locator("#message-form")).click()
    await expect(viewer.message("断线时写的")).to_have_count(1)
