"""Two people write to each other, by WebSocket and without."""

import re
from typing import Any

import pytest_asyncio
from playwright.async_api import expect

from tests.system.app import App
from tests.system.web.conftest import IN_ONE_LOOP, VIEWPORTS, OpenWindow
from tests.system.web.person import DESKTOP, Person

pytestmark = IN_ONE_LOOP


TO_THE_TOP = "element => element.scrollTo(0, 0)"
# At once, before a page can come: where the oldest message stands then.
TO_THE_TOP_AND_LOOK = """log => {
  log.scrollTo(0, 0);
  return log.querySelector('#messages li').getBoundingClientRect().top;
}"""


@pytest_asyncio.fixture(loop_scope="session")
async def friends(author: App, fan: App) -> tuple[App, App]:
    """Two people who follow each other."""
    one, other = author, fan
    await one.post("douyin/relation/action/", to_user_id=other.user_id, action_type=1)
    await other.post("douyin/relation/action/", to_user_id=one.user_id, action_type=1)
    return one, other


async def send(sender: App, to: App, text: str) -> None:
    sender.spoken.add(text)
    reply = {"to_user_id": to.user_id, "action_type": 1, "content": text}
    await sender.post("douyin/message/action/", **reply)


async def send_many(sender: App, to: App, count: int) -> list[str]:
    """Send short messages one after the other; return their texts."""
    texts = [f"历史消息第 {number} 条" for number in range(count)]
    for text in texts:
        await send(sender, to, text)
    return texts


async def open_chat(person: Person, other: App, state: str = "live") -> None:
    await person.open(f"/chat/{other.user_id}")
    await expect(person.page.locator(".chat-connection")).to_have_attribute("data-state", state)


@VIEWPORTS
async def test_two_browsers_chat(
    open_window: OpenWindow, friends: tuple[App, App], viewport: dict[str, Any]
) -> None:
    mei, ming = [await open_window(app, **viewport) for app in friends]
    await open_chat(mei, ming.app)
    await open_chat(ming, mei.app)

    await mei.write("你好,在吗?")

    await expect(mei.message("你好,在吗?")).to_have_attribute("data-mine", "true")
    await expect(ming.message("你好,在吗?")).to_have_attribute("data-mine", "false")
    await ming.write("在的 👋\n第二行")
    await expect(mei.message("第二行")).to_be_visible()
    await expect(mei.page.locator("#messages li")).to_have_count(2)
    await expect(ming.page.locator("#messages li")).to_have_count(2)


async def test_without_a_websocket_messages_come_by_polling_and_once(
    open_window: OpenWindow, friends: tuple[App, App]
) -> None:
    mei, ming = [await open_window(app) for app in friends]
    await mei.page.route_web_socket("**/douyin/message/ws**", lambda socket: socket.close())

    await open_chat(mei, ming.app, "polling")
    await open_chat(ming, mei.app)
    await ming.write("没有长连接也行")

    await expect(mei.message("没有长连接也行")).to_have_count(1)
    await mei.write("收到")
    await expect(ming.message("收到")).to_have_count(1)


async def test_unread_messages_are_counted_until_they_are_seen(
    open_window: OpenWindow, friends: tuple[App, App]
) -> None:
    mei, ming = friends
    await send(ming, mei, "一条没看的消息")
    await send(ming, mei, "又一条没看的消息")
    person = await open_window(mei, **DESKTOP)

    await person.open()
    await expect(person.link("消息 2 条未读")).to_be_visible()
    await person.open("/messages")
    entry = person.page.locator(f'li[data-user-id="{ming.user_id}"]')
    await expect(entry.locator(".unread")).to_have_text("2")
    await entry.get_by_role("link").click()
    await expect(person.message("又一条没看的消息")).to_be_visible()

    await expect(person.link("消息")).to_be_visible()
    await person.page.reload()
    await expect(person.message("又一条没看的消息")).to_be_visible()
    await expect(person.link("消息")).to_be_visible()


@VIEWPORTS
async def test_scrolling_up_leads_to_the_beginning_and_what_one_reads_stays_in_place(
    open_window: OpenWindow, friends: tuple[App, App], viewport: dict[str, Any]
) -> None:
    mei, ming = friends
    texts = await send_many(ming, mei, 65)
    person = await open_window(mei, **viewport)
    shown = person.page.locator("#messages li")
    log = person.page.locator(".chat-scroll")

    await open_chat(person, ming)
    await expect(shown).to_have_count(30)
    await expect(shown.last).to_be_in_viewport()
    # Where the oldest message that is drawn stands, before and after the page above it.
    oldest = person.message(texts[35])
    before = await log.evaluate(TO_THE_TOP_AND_LOOK)
    await expect(shown).to_have_count(60)
    after = await oldest.evaluate("item => item.getBoundingClientRect().top")
    assert abs(after - before) <= 2
    await log.evaluate(TO_THE_TOP)

    await expect(shown).to_have_count(65)
    await expect(person.button("更早的消息")).to_be_hidden()
    await expect(log.get_by_text("聊天从这里开始")).to_be_visible()
    told = await shown.evaluate_all("all => all.map(item => item.innerText)")
    assert all(text in item for text, item in zip(texts, told, strict=True))


async def test_earlier_messages_that_do_not_come_are_told_and_asked_for_again_by_keyboard(
    open_window: OpenWindow, friends: tuple[App, App]
) -> None:
    mei, ming = friends
    await send_many(ming, mei, 35)
    person = await open_window(mei, **DESKTOP)
    person.expects("500")
    body = {"status_code": 10011, "status_msg": "服务出错了,请稍后再试"}
    earlier = re.compile(r"/douyin/message/chat/.*cursor=\w")
    await person.page.route(earlier, lambda route: route.fulfill(status=500, json=body))
    shown = person.page.locator("#messages li")
    log = person.page.locator(".chat-scroll")
    await open_chat(person, ming)

    await person.button("更早的消息").press("Enter")

    await expect(log.get_by_role("alert")).to_be_visible()
    await expect(shown).to_have_count(30)
    await expect(log).to_be_focused()
    await person.page.unroute(earlier)
    await person.page.keyboard.press("Tab")
    await expect(person.button("重试", log)).to_be_focused()
    await person.page.keyboard.press("Enter")
    await expect(shown).to_have_count(35)
    await expect(log.get_by_role("alert")).to_have_count(0)
    await expect(log.get_by_text("聊天从这里开始")).to_be_visible()


async def test_a_message_that_is_refused_after_its_chat_was_left_is_told(
    open_window: OpenWindow, friends: tuple[App, App]
) -> None:
    mei, ming = friends
    person = await open_window(mei)
    person.expects("503")
    await open_chat(person, ming)
    held = await person.hold("**/douyin/message/action/**")

    await person.write("来不及的消息")
    route = await held
    await person.link("返回").click()
    await expect(person.page.locator("messages-view")).to_be_visible()
    body = {"status_code": 10009, "status_msg": "服务暂时不可用,请稍后再试"}
    await route.fulfill(status=503, json=body, headers={"Retry-After": "1"})

    await expect(person.page.locator("#toasts")).to_contain_text("服务暂时不可用")


async def test_a_message_that_is_refused_stays_in_the_form(
    open_window: OpenWindow, author: App, fan: App
) -> None:
    person = await open_window(fan)
    await open_chat(person, author)

    await person.write("我们还不认识")

    await expect(person.page.locator("#message-form [role=alert]")).to_have_text(
        "先关注对方,才能发消息"
    )
    await expect(person.page.locator("#message-text")).to_have_value("我们还不认识")
    await expect(person.page.locator("#messages li")).to_have_count(0)
