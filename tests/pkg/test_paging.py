"""Cursors: opaque, exact, and useless when somebody changed them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pkg.errors import InvalidParameter
from pkg.paging import (
    FROM_THE_START,
    MAX_LIMIT,
    decode_cursor,
    encode_cursor,
    next_cursor,
    read_limit,
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


def test_a_full_page_may_have_another_and_a_short_one_has_none():
    assert decode_cursor(next_cursor([9, 7, 5], limit=3)) == 5
    assert next_cursor([9, 7], limit=3) == ""
    assert next_cursor([], limit=3) == ""


@pytest.mark.parametrize("limit", [1, 50, MAX_LIMIT])
def test_a_limit_within_the_bounds_is_kept(limit):
    assert read_limit(limit, default=500) == limit


def test_no_limit_is_the_default_of_the_list_even_where_that_is_larger():
    assert read_limit(0, default=500) == 500


@pytest.mark.parametrize("limit", [-1, MAX_LIMIT + 1, 2**31 - 1])
def test_a_limit_out_of_bounds_is_refused(limit):
    with pytest.raises(InvalidParameter):
        read_limit(limit, default=500)
