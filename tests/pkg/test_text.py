"""What people type: counted in characters, kept as written, without what would break a line."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pkg.errors import InvalidParameter
from pkg.text import check_length, clean_name, clean_text, refuse_control_characters

IDEOGRAPHIC_SPACE = "\u3000"
COMPOSED, DECOMPOSED = "é", "e\u0301"


def name_of(value: str, *, max_chars: int = 32) -> str:
    return clean_name(value, label="用户名", max_chars=max_chars)


@pytest.mark.parametrize("space", [" ", "\t", "\n", IDEOGRAPHIC_SPACE, "\u00a0", "\u2003"])
def test_white_space_at_the_ends_is_no_part_of_a_name(space):
    assert name_of(f"{space}小 明{space}{space}") == "小 明"


def test_two_ways_to_write_a_letter_are_one_name():
    assert name_of(DECOMPOSED) == name_of(COMPOSED) == COMPOSED


def test_emoji_and_cjk_count_as_characters_and_not_as_bytes():
    assert name_of("😀" * 32) == "😀" * 32
    assert name_of("抖" * 32) == "抖" * 32
    with pytest.raises(InvalidParameter, match="32"):
        name_of("😀" * 33)


def test_a_name_is_counted_after_it_was_normalised_and_trimmed():
    assert len(name_of("  " + DECOMPOSED * 32 + "  ")) == 32


def test_a_password_is_counted_in_the_characters_that_one_sees():
    check_length(DECOMPOSED * 32, label="密码", max_chars=32)

    with pytest.raises(InvalidParameter):
        check_length(COMPOSED * 33, label="密码", max_chars=32)


def test_joined_emoji_stay_whole():
    family = "👩\u200d👩\u200d👧"

    assert name_of(family) == family


@pytest.mark.parametrize("value", ["", " ", IDEOGRAPHIC_SPACE * 3, "\n"])
def test_nothing_is_no_name(value):
    with pytest.raises(InvalidParameter, match="用户名"):
        name_of(value)


@pytest.mark.parametrize(
    "char", ["\x00", "\x07", "\n", "\r", "\t", "\x7f", "\x85", "\u2028", "\u2029"]
)
def test_a_control_character_within_a_name_is_refused(char):
    with pytest.raises(InvalidParameter, match="控制字符"):
        name_of(f"a{char}b")


def test_a_text_keeps_its_lines():
    assert clean_text(" one\ntwo \n", label="评论", max_chars=255) == "one\ntwo"


@pytest.mark.parametrize(
    "char", ["\x00", "\x07", "\x08", "\x0b", "\x0c", "\x1b", "\x1f", "\x7f", "\x9b"]
)
def test_a_control_character_that_breaks_no_line_is_refused_in_a_text(char):
    for text in (f"a{char}b", f"a{char}", f"{char}a"):
        with pytest.raises(InvalidParameter, match="评论不能包含控制字符"):
            clean_text(text, label="评论", max_chars=255)
        with pytest.raises(InvalidParameter, match="消息不能包含控制字符"):
            refuse_control_characters(text, label="消息")


def test_line_breaks_tabs_and_joined_emoji_stay_in_a_text():
    text = "one\r\n\ttwo\u2028👩\u200d👧 می\u200cخواهم"

    assert clean_text(text, label="评论", max_chars=255) == text


@given(st.text(max_size=50))
def test_a_clean_name_is_clean(value):
    try:
        name = name_of(value)
    except InvalidParameter:
        return

    assert 1 <= len(name) <= 32
    assert name == name.strip()
    assert unicodedata.is_normalized("NFC", name)
    assert name_of(name) == name
