"""Cursors: opaque, exact, and useless when somebody changed them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pkg.errors import InvalidParameter
from pkg.paging import (
    FROM_THE_START,
    Page,
    PageRequest,
    decode_cursor,
    encode_cursor,
    make_page,
    parse_page_request,
)

KEYS = st.integers(-(2**63), 2**63 - 1)


@given(KEYS)
def test_a_cursor_comes_back_as_it_was(key):
    cursor = encode_cursor(key)

    assert decode_cursor(cursor) == key
    assert cursor.isascii()
    assert not set(cursor) & set("+/=&?# ")


def test_no_cursor_is_the_start():
    assert decode_cursor("") == FROM_THE_START


@given(
    st.text()
    | KEYS.map(encode_cursor).flatmap(lambda c: st.sampled_from([c[1:], c + "A", c + "="]))
)
def test_a_cursor_that_is_not_ours_is_refused(text):
    try:
        key = decode_cursor(text)
    except InvalidParameter:
        return

    assert text in {"", encode_cursor(key)}


@given(st.sets(st.integers(0, 1000), max_size=40), st.integers(1, 12))
def test_a_walk_over_the_pages_gives_every_item_exactly_once(keys, limit):
    descending = sorted(keys, reverse=True)
    seen: list[int] = []
    cursor, pages = "", 0
    while pages == 0 or cursor:
        wanted = parse_page_request(cursor, limit, default=100)
        below = [key for key in descending if key < wanted.before]
        page = make_page(below[: wanted.fetch_limit], wanted, key=lambda key: key)
        seen += page.items
        cursor, pages = page.next_cursor, pages + 1

    assert seen == descending
    assert pages == max(1, -(-len(keys) // limit))  # Not one page more, also where all are full.


@pytest.mark.parametrize("count", [0, 1, 2])
def test_the_cursor_of_a_page_that_nothing_follows_is_empty(count):
    page = make_page([9, 7][:count], PageRequest(limit=2), key=lambda key: key)
    assert page == Page([9, 7][:count], "")


def test_the_cursor_of_a_page_that_something_follows_is_its_last_key():
    page = make_page([9, 7, 5], PageRequest(limit=2), key=lambda key: key)
    assert page.items == [9, 7]
    assert decode_cursor(page.next_cursor) == 7


def test_a_converted_page_has_the_same_cursor():
    page = make_page([9, 7, 5], PageRequest(limit=2), key=lambda key: key)
    assert page.map(str) == Page(["9", "7"], page.next_cursor)


@pytest.mark.parametrize("default", [30, 100, 200, 500])
def test_a_client_may_ask_for_what_it_gets_by_default_and_at_least_100(default):
    largest = max(default, 100)
    assert parse_page_request("", 0, default=default).limit == default
    for limit in (1, 50, largest):
        assert parse_page_request("", limit, default=default).limit == limit
    for limit in (-1, largest + 1, 2**31 - 1):
        with pytest.raises(InvalidParameter, match=str(largest)):
            parse_page_request("", limit, default=default)
