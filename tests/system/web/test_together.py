"""Two people: likes, follows and comments, as one does them and the other sees them."""

from collections.abc import Callable
from typing import Any

from playwright.async_api import expect

from tests.eventually import eventually
from tests.system.app import App
from tests.system.web.conftest import IN_ONE_LOOP, VIEWPORTS, Host, OpenWindow
from tests.system.web.person import DESKTOP

pytestmark = IN_ONE_LOOP

Phone = Callable[[], App]


@VIEWPORTS
async def test_a_like_shows_at_once_and_is_there_for_the_other(
    open_window: OpenWindow, host: Host, fan: App, viewport: dict[str, Any]
) -> None:
    film_id = host.take_film()
    viewer = await open_window(fan, **viewport)
    await host.show(film_id, viewer)
    like, count = viewer.button("喜欢", viewer.player), viewer.player.locator(".rail .like-count")

    await like.click()
    await expect(like).to_have_attribute("aria-pressed", "true")
    await expect(count).to_have_text("1")

    async def is_counted(times: int) -> bool:
        cards = await host.app.videos_of(host.app.user_id)
        return bool({card["id"]: card["favorite_count"] for card in cards}[film_id] == times)

    await eventually(lambda: is_counted(1))
    await viewer.page.keyboard.press("l")
    await expect(count).to_have_text("0")
    await eventually(lambda: is_counted(0))


async def test_a_double_tap_likes(open_window: OpenWindow, host: Host, fan: App) -> None:
    film_id = host.take_film()
    viewer = await open_window(fan)
    await host.show(film_id, viewer)

    await viewer.player.locator(".surface").dblclick()

    await expect(viewer.button("喜欢", viewer.player)).to_have_attribute("aria-pressed", "true")
    await viewer.sees_motion()


async def test_a_like_that_is_refused_is_taken_back_and_told(
    open_window: OpenWindow, host: Host, fan: App
) -> None:
    film_id = host.kept_film
    viewer = await open_window(fan)
    viewer.expects("503")
    await host.show(film_id, viewer)
    body = {"status_code": 10009, "status_msg": "服务暂时不可用,请稍后再试"}
    await viewer.page.route(
        "**/douyin/favorite/action/**",
        lambda route: route.fulfill(status=503, json=body, headers={"Retry-After": "1"}),
    )

    await viewer.button("喜欢", viewer.player).click()

    await expect(viewer.page.locator("#toasts")).to_contain_text("服务暂时不可用")
    await expect(viewer.button("喜欢", viewer.player)).to_have_attribute("aria-pressed", "false")
    await expect(viewer.player.locator(".rail .like-count")).to_have_text("0")


async def test_a_follow_shows_in_the_lists_of_both(
    open_window: OpenWindow, author: App, fan: App
) -> None:
    viewer = await open_window(fan, **DESKTOP)
    await viewer.open(f"/user/{author.user_id}")
    follow = viewer.page.locator("profile-view .follow")

    await follow.click()

    await expect(follow).to_have_attribute("aria-pressed", "true")
    followed = await open_window(author)

    async def has_follower(app: App) -> bool:
        found = await app.get("douyin/relation/follower/list/", user_id=app.user_id)
        return bool(found["user_list"])

    await eventually(lambda: has_follower(author))
    await followed.open(f"/user/{author.user_id}/followers")
    entry = followed.page.locator(f'li[data-user-id="{viewer.app.user_id}"]')
    await expect(entry).to_contain_text(viewer.app.name)
    await entry.locator(".follow").click()
    await eventually(lambda: has_follower(fan))
    await viewer.open(f"/user/{viewer.app.user_id}/friends")
    await expect(viewer.page.locator(f'li[data-user-id="{author.user_id}"]')).to_be_visible()


@VIEWPORTS
async def test_comments_are_written_liked_and_deleted(
    open_window: OpenWindow, host: Host, fan: App, viewport: dict[str, Any]
) -> None:
    film_id = host.take_film()
    viewer = await open_window(fan, **viewport)
    await host.show(film_id, viewer)
    await viewer.button("评论", viewer.player).click()

    await viewer.comment("第一条评论 👍")
    kept = await viewer.comment("第二条")

    await expect(viewer.player.locator(".comment-count")).to_have_text("2")
    await viewer.button("喜欢", kept).click()
    await expect(viewer.button("喜欢", kept)).to_have_attribute("aria-pressed", "true")
    # The author sees both, and takes one away.
    owner = await open_window(host.app, **viewport)
    await host.show(film_id, owner)
    await owner.page.keyboard.press("c")
    entries = owner.comments.locator("li[data-comment-id]")
    await expect(entries).to_have_count(2)
    await expect(entries.first).to_contain_text("第二条")
    await expect(entries.first.locator(".like-count")).to_have_text("1")
    await owner.button("删除", entries.last).click()
    await expect(entries).to_have_count(1)

    async def is_gone() -> bool:
        found = await host.app.get("douyin/comment/list/", video_id=film_id)
        return [comment["content"] for comment in found["comment_list"]] == ["第二条"]

    await eventually(is_gone)
    await owner.button("关闭", owner.comments).click()
    await expect(owner.comments).to_be_hidden()


async def test_a_deletion_that_is_refused_is_taken_back_and_told(
    open_window: OpenWindow, host: Host, fan: App
) -> None:
    film_id = host.take_film()
    viewer = await open_window(fan, **DESKTOP)
    viewer.expects("503")
    await host.show(film_id, viewer)
    await viewer.page.keyboard.press("c")
    for text in ("留下的", "想删的", "最新的"):
        await viewer.comment(text)
    entries = viewer.comments.locator("li[data-comment-id]")
    wanted = entries.filter(has_text="想删的")
    body = {"status_code": 10009, "status_msg": "服务暂时不可用,请稍后再试"}
    actions = "**/douyin/comment/action/**"
    await viewer.page.route(
        actions,
        lambda route: route.fulfill(status=503, json=body, headers={"Retry-After": "1"}),
    )

    await viewer.button("删除", wanted).press("Enter")

    await expect(viewer.page.locator("#toasts")).to_contain_text("服务暂时不可用")
    await expect(entries.locator(".content")).to_have_text(["最新的", "想删的", "留下的"])
    await expect(viewer.player.locator(".comment-count")).to_have_text("3")
    await viewer.page.unroute(actions)
    await viewer.button("删除", wanted).press("Enter")
    await expect(entries).to_have_count(2)
    # Whoever deletes by keyboard goes on from the next comment, and from the head of the list after the last one.
    await expect(viewer.button("喜欢", entries.filter(has_text="留下的"))).to_be_focused()
    for text in ("留下的", "最新的"):
        await viewer.button("删除", entries.filter(has_text=text)).press("Enter")
    await expect(entries).to_have_count(0)
    await expect(viewer.button("关闭", viewer.comments)).to_be_focused()


async def test_a_comment_that_is_refused_after_its_video_was_left_is_told(
    open_window: OpenWindow, host: Host, fan: App
) -> None:
    viewer = await open_window(fan, **DESKTOP)
    viewer.expects("503")
    await host.show(host.kept_film, viewer)
    await viewer.page.keyboard.press("c")
    held = await viewer.hold("**/douyin/comment/action/**")

    await viewer.comments.locator("#comment-text").fill("来不及的评论")
    await viewer.button("发送", viewer.comments).click()
    route = await held
    await viewer.page.keyboard.press("Escape")
    await expect(viewer.comments).to_be_hidden()
    body = {"status_code": 10009, "status_msg": "服务暂时不可用,请稍后再试"}
    await route.fulfill(status=503, json=body, headers={"Retry-After": "1"})

    await expect(viewer.page.locator("#toasts")).to_contain_text("服务暂时不可用")


async def test_a_comment_that_is_refused_stays_in_the_form(
    open_window: OpenWindow, host: Host, fan: App
) -> None:
    film_id = host.take_film()
    person = await open_window(fan)
    await host.show(film_id, person)
    await person.page.keyboard.press("c")
    text = "长" * 256

    await person.comments.locator("#comment-text").fill(text)
    await person.button("发送", person.comments).click()

    await expect(person.comments.locator("[role=alert]")).not_to_be_empty()
    await expect(person.comments.locator("#comment-text")).to_have_value(text)
    await expect(person.comments.locator("li")).to_have_count(0)


async def test_lists_go_on_where_their_page_ends(
    open_window: OpenWindow, author: App, phone: Phone
) -> None:
    """Pages of two, which the client asks for one after the other as the list is scrolled."""
    fans = [await phone().register() for _ in range(5)]
    for fan in fans:
        await fan.post("douyin/relation/action/", to_user_id=author.user_id, action_type=1)
    person = await open_window()
    asked: list[str] = []

    async def cut(route: Any) -> None:
        asked.append(route.request.url)
        separator = "&" if "?" in route.request.url else "?"
        await route.continue_(url=f"{route.request.url}{separator}limit=2")

    await person.page.route("**/douyin/relation/follower/list/**", cut)

    async def all_listed() -> bool:
        found = await author.get("douyin/relation/follower/list/", user_id=author.user_id)
        return len(found["user_list"]) == len(fans)

    await eventually(all_listed)
    await person.open(f"/user/{author.user_id}/followers")

    entries = person.page.locator("li[data-user-id]")
    await expect(entries).to_have_count(5)
    shown = await entries.evaluate_all("all => all.map(entry => +entry.dataset.userId)")
    assert shown == [fan.user_id for fan in reversed(fans)]
    assert len(asked) == 3
