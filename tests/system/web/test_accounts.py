"""Registering, logging in and out, and where one is led by it."""

from typing import Any
from uuid import uuid4

from playwright.async_api import expect

from tests.system.app import App
from tests.system.system import System
from tests.system.web.conftest import IN_ONE_LOOP, VIEWPORTS, Host, OpenWindow

pytestmark = IN_ONE_LOOP


@VIEWPORTS
async def test_somebody_registers_logs_out_and_logs_in_again(
    open_window: OpenWindow, system: System, viewport: dict[str, Any]
) -> None:
    person = await open_window(**viewport)
    name, password = f"新人-{uuid4().hex[:12]}", f"秘密-{uuid4().hex[:16]}"
    system.spoken.add(password)

    await person.open("/register")
    await person.fill_account_form(name, password, "注册")
    await expect(person.page.locator("feed-view")).to_be_visible()
    await person.open("/me")
    await expect(person.page.get_by_role("heading", name=name)).to_be_visible()
    await person.button("退出登录").click()
    await expect(person.page.locator("#account-form")).to_be_hidden()
    await person.open("/me")
    await person.fill_account_form(name, password, "登录")

    await expect(person.page.get_by_role("heading", name=name)).to_be_visible()
    await person.page.reload()
    await expect(person.page.get_by_role("heading", name=name)).to_be_visible()


async def test_a_refused_account_is_told_in_the_form(open_window: OpenWindow, author: App) -> None:
    person = await open_window()
    told = person.page.locator("#account-form [role=alert]")

    await person.open("/login")
    await person.fill_account_form(author.name, "not-the-password", "登录")
    await expect(told).to_have_text("用户名或密码错误")
    await person.open("/register")
    await person.fill_account_form(author.name, "another-password", "注册")

    await expect(told).to_have_text("用户名已被使用,请换一个")


async def test_who_needs_an_account_is_asked_to_log_in_and_led_back(
    open_window: OpenWindow, author: App
) -> None:
    person = await open_window()

    await person.open("/publish")
    await person.fill_account_form(author.name, author.password, "登录")

    await expect(person.page.locator("#publish-form")).to_be_visible()


async def test_logging_out_in_one_tab_logs_out_in_the_other(
    open_window: OpenWindow, author: App
) -> None:
    person = await open_window(author)
    await person.open("/me")
    other = await person.context.new_page()
    await other.goto(f"{author.base_url}#/publish")
    await expect(other.locator("#publish-form")).to_be_visible()

    await person.button("退出登录").click()

    await expect(other.locator("#account-form")).to_be_visible()


async def test_a_token_that_is_no_longer_valid_ends_the_session_and_takes_the_like_back(
    open_window: OpenWindow, host: Host, fan: App
) -> None:
    film_id = host.kept_film
    valid, fan.token = fan.token, "not.a.token"
    person = await open_window(fan)
    person.expects("401")
    await host.show(film_id, person)

    await person.button("喜欢", person.player).click()

    await expect(person.page.locator("#toasts")).to_contain_text("请先登录")
    fan.token = valid
    assert (await fan.user(fan.user_id))["favorite_count"] == 0
    stored = await person.page.evaluate("localStorage.getItem('dousheng.session')")
    assert stored is None
