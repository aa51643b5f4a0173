"""What a person wrote is text, whatever it looks like: in names, titles, comments and messages."""

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from playwright.async_api import expect

from tests.system.app import App
from tests.system.publishing import wait_published
from tests.system.web.conftest import IN_ONE_LOOP, OpenWindow
from tests.system.web.person import DESKTOP, Person

pytestmark = IN_ONE_LOOP

MARKUP = '<img src=x onerror="window.broken=1">'
SCRIPT = "<script>window.broken=1</script>"
LINK = '"><a href="javascript:window.broken=1">x</a>'
INJECTED = """() => [
    ...document.querySelectorAll('script:not([src^="/web/"]), a[href^="javascript:"], img[src="x"], [onerror]'),
].map(element => element.outerHTML).concat(window.broken ? ['it ran'] : [])"""


async def shows(person: Person, *texts: str) -> None:
    """Wait until these texts can be read as they are, and see that nothing became of them."""
    for text in texts:
        await expect(person.page.get_by_text(text, exact=False).first).to_be_visible()
    assert await person.page.evaluate(INJECTED) == []


async def test_no_text_of_a_person_becomes_markup(
    open_window: OpenWindow, phone: Callable[[], App], film: Path
) -> None:
    name = f"<b>{uuid4().hex[:8]}</b><script>"
    mallory = await phone().register(name)
    victim = await phone().register()
    for one, other in ((mallory, victim), (victim, mallory)):
        await one.post("douyin/relation/action/", to_user_id=other.user_id, action_type=1)
    video_id = await mallory.publish(film, MARKUP)
    await wait_published(mallory, video_id)
    for text in (SCRIPT, LINK, MARKUP):
        comment = {"video_id": video_id, "action_type": 1, "comment_text": text}
        await mallory.post("douyin/comment/action/", **comment)
        message = {"to_user_id": victim.user_id, "action_type": 1, "content": text}
        await mallory.post("douyin/message/action/", **message)
    person = await open_window(victim, **DESKTOP)

    await person.open()
    await person.sees_video(video_id)
    await shows(person, name, MARKUP)
    await person.page.keyboard.press("c")
    await shows(person, SCRIPT, LINK)
    await person.open(f"/user/{mallory.user_id}")
    await shows(person, name)
    await person.open("/friends")
    await shows(person, name)
    await person.open("/messages")
    await shows(person, name, MARKUP)
    await person.open(f"/chat/{mallory.user_id}")
    await shows(person, SCRIPT, LINK, MARKUP)


async def test_an_address_that_leads_elsewhere_is_not_followed(
    open_window: OpenWindow, author: App
) -> None:
    person = await open_window()
    for route in ("/login?next=//evil.example", "/login?next=javascript:window.broken=1"):
        await person.open(route)
        await person.fill_account_form(author.name, author.password, "登录")
        await expect(person.page.locator("feed-view")).to_be_visible()
        assert person.page.url.startswith(author.base_url)
        await person.page.evaluate("localStorage.clear()")
        await person.page.reload()
    assert await person.page.evaluate("window.broken") is None
