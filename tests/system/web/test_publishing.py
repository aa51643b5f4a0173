"""From a file to a video in the feed, or to the reason why not."""

from pathlib import Path
from typing import Any

from playwright.async_api import Locator, expect

from tests.system.app import App
from tests.system.web.conftest import IN_ONE_LOOP, VIEWPORTS, OpenWindow
from tests.system.web.person import DESKTOP, Person

pytestmark = IN_ONE_LOOP

PUBLISHED_WITHIN_MS = 60_000
DROP = """async ([zone, path]) => {
    const bytes = await (await fetch(path)).arrayBuffer();
    const data = new DataTransfer();
    data.items.add(new File([bytes], 'dropped.mp4', { type: 'video/mp4' }));
    for (const name of ['dragover', 'drop']) {
        zone.dispatchEvent(new DragEvent(name, { dataTransfer: data, bubbles: true, cancelable: true }));
    }
}"""


async def publish(person: Person, file: Path, title: str) -> Locator:
    """Choose a file, give it a title and send it; return its entry among the uploads."""
    await person.open("/publish")
    await person.page.locator("#video-file").set_input_files(file)
    await person.page.locator("#title").fill(title)
    await person.button("发布", person.page.locator("#publish-form")).click()
    return person.page.locator("li.upload").filter(has_text=title)


@VIEWPORTS
async def test_a_video_is_published_and_watched_by_the_other(
    open_window: OpenWindow, author: App, film: Path, viewport: dict[str, Any]
) -> None:
    person = await open_window(author, **viewport)

    entry = await publish(person, film, "我的视频")

    await expect(entry).to_have_attribute("data-status", "published", timeout=PUBLISHED_WITHIN_MS)
    await person.link("观看", entry).click()
    await person.sees_motion()
    other = await open_window(**viewport)
    await other.open(f"/user/{author.user_id}")
    await (
        other.page.locator("a.work")
        .get_by_text("我的视频")
        .or_(other.link("我的视频"))
        .first.click()
    )
    await other.sees_motion()


async def test_the_state_of_a_video_that_takes_long_is_told_until_it_is_there(
    open_window: OpenWindow, author: App, slow_video: Path
) -> None:
    person = await open_window(author)
    states: list[str] = []

    def tell(state: str) -> None:
        states.append(state)

    # playwright writes into what it is given, which a method of a list does not bear.
    await person.page.expose_function("tell", tell)
    await person.open("/publish")
    await person.page.evaluate(
        """() => new MutationObserver(() => {
            for (const item of document.querySelectorAll('li.upload')) tell(item.dataset.status);
        }).observe(document, { subtree: true, childList: true, attributes: true })"""
    )

    entry = await publish(person, slow_video, "要转码")

    await expect(entry).to_have_attribute("data-status", "published", timeout=PUBLISHED_WITHIN_MS)
    assert states.index("processing") < states.index("published")


async def test_a_file_that_is_no_video_is_refused_with_the_reason(
    open_window: OpenWindow, author: App, tmp_path: Path
) -> None:
    person = await open_window(author, **DESKTOP)
    text = tmp_path / "notes.mp4"
    text.write_text("这不是视频" * 100)

    entry = await publish(person, text, "文本")

    await expect(person.page.locator("#publish-form [role=alert]")).to_have_text(
        "这不是视频文件,请重新选择"
    )
    await expect(entry).to_have_count(0)
    await expect(person.page.locator("#title")).to_have_value("文本")
    await expect(person.button("发布", person.page.locator("#publish-form"))).to_be_enabled()


async def test_a_file_can_be_dropped_and_its_progress_is_shown(
    open_window: OpenWindow, author: App, video_1mb: Path
) -> None:
    person = await open_window(author, **DESKTOP)
    await person.page.route("**/test/file.mp4", lambda route: route.fulfill(path=video_1mb))
    await person.open("/publish")
    # The browser sends no faster than this, so that there is something to be seen of it.
    devtools = await person.context.new_cdp_session(person.page)
    # Beside the zone, too: there a browser would leave the page for the file.
    beside = await person.page.locator("main h1").element_handle()

    await person.page.evaluate(DROP, [beside, "/test/file.mp4"])
    await expect(person.page.locator(".chosen")).to_contain_text("dropped.mp4")
    await devtools.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 500_000},
    )
    await person.page.locator("#title").fill("拖进来的")
    await person.button("发布", person.page.locator("#publish-form")).click()

    await expect(person.page.locator("#upload-progress")).to_be_visible()
    await expect(person.page.locator("li.upload").filter(has_text="拖进来的")).to_have_attribute(
        "data-status", "published", timeout=PUBLISHED_WITHIN_MS
    )
    await expect(person.page.locator("#upload-progress")).to_be_hidden()
