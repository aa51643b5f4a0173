"""The cursor of a page of actions."""

from dal.registers.lists import Page
from pkg.paging import encode_cursor


def page_cursor(page: Page) -> str:
    """Return the cursor of the page after this one, "" where this is the last."""
    return "" if page.next_before is None else encode_cursor(page.next_before)
