"""Names: something to see, nothing hidden, and one owner for what a person takes for one name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pkg.errors import InvalidParameter
from pkg.names import clean_title, clean_user_name, make_name_keys

ZERO_WIDTH_SPACE, ZERO_WIDTH_JOINER = "\u200b", "\u200d"
RIGHT_TO_LEFT_OVERRIDE, RIGHT_TO_LEFT_MARK = "\u202e", "\u200f"
HANGUL_FILLER, BLANK_BRAILLE = "\u3164", "\u2800"


def user_name_of(value: str) -> str:
    return clean_user_name(value, label="用户名", max_chars=32)


def are_one_name(one: str, other: str) -> bool:
    first, second = make_name_keys(one), make_name_keys(other)
    return (
        first.look_key == second.look_key
        or first.capital_key == second.capital_key
        or first.fold_key == second.fold_key
    )


@pytest.mark.parametrize(
    "name",
    [
        "小明",
        "x",
        "!",
        "1",
        "Зоя",
        "نور",
        "कमल",
        "がぎ",
        "한글",
        "Zoë",
        "😀",
        "🀄",
        "a b",
        "x\ufe0f",
    ],
)
def test_names_of_every_script_are_taken(name):
    assert user_name_of(name) == name


@pytest.mark.parametrize(
    "emoji",
    ["👩‍👩‍👧", "❤️‍🔥", "🏳️‍🌈", "🏃🏽‍♂️", "👁️‍🗨️", "🧑🏽‍❤️‍🧑🏿", "🐦‍⬛", "🚶‍➡️", "🏴󠁧󠁢󠁷󠁬󠁳󠁿", "🇨🇳", "1️⃣"],
)
def test_the_joiners_inside_an_emoji_are_part_of_it(emoji):
    assert user_name_of(f"a{emoji}b") == f"a{emoji}b"


@pytest.mark.parametrize(
    "char",
    [
        ZERO_WIDTH_SPACE,
        ZERO_WIDTH_JOINER,
        RIGHT_TO_LEFT_OVERRIDE,
        RIGHT_TO_LEFT_MARK,
        "\u00ad",  # soft hyphen
        "\u061c",  # Arabic letter mark
        "\u2060",  # word joiner
        "\u2066",  # left-to-right isolate
        "\ufeff",  # byte order mark
        "\ufff9",  # interlinear annotation
        "\U000e0061",  # a letter of a flag, without the flag
        "\x00",
        "\x1b",
        "\n",
    ],
)
def test_control_and_format_characters_are_refused_wherever_they_stand(char):
    for name in (f"a{char}b", f"{char}小明".lstrip("\n"), f"😀{char}a"):
        if char in name:
            with pytest.raises(InvalidParameter, match="用户名"):
                user_name_of(name)


@pytest.mark.parametrize(
    "name",
    [
        HANGUL_FILLER,
        BLANK_BRAILLE * 3,
        "\u115f\u1160",
        "\u0301",
        "\u034f",
        "\ufe0f",
        "\U000e0100",
        "\ue000",
        "\ufffc",
    ],
)
def test_a_name_or_title_that_shows_nothing_is_refused(name):
    with pytest.raises(InvalidParameter, match="用户名"):
        user_name_of(name)
    with pytest.raises(InvalidParameter, match="标题"):
        clean_title(name, label="标题", max_chars=50)


def test_a_title_keeps_what_its_script_needs():
    persian = f"می{chr(0x200C)}خواهم"

    assert clean_title(persian, label="标题", max_chars=50) == persian


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("admin", "ADMIN"),
        ("straße", "STRASSE"),
        ("нина", "НИНА"),
        ("Νικος", "νικος"),
        ("admin", "ａｄｍｉｎ"),
        ("ｱｲｳ", "アイウ"),
        ("①", "1"),
        ("小明", f"小{ZERO_WIDTH_SPACE}明"),
        ("小明", f"小明{HANGUL_FILLER}"),
        ("小明", f"{RIGHT_TO_LEFT_MARK}小明\ufe00"),
        ("小明", f"小{BLANK_BRAILLE}明"),
        ("小明", "小明\ue000"),  # private use
        ("小明", "小明\uffff"),  # no character
        ("小明", "\ufffc小明"),  # the place of an object
        ("小 明", "小\u3000明"),
        ("小 明", "小  明"),
        ("admin", "аdmin"),  # a Cyrillic a
        ("nike", "ΝΙΚΕ"),  # Greek capitals
        ("NIKE", "ΝΙΚΕ"),
        ("admin", "ADМIN"),  # a Cyrillic М
        ("van", "νan"),  # a Greek nu
        ("admin", "adm1n"),
        ("paypal", "paypaI"),
        ("paypal", "paypa1"),
        ("Ivan", "lvan"),
        ("billing", "biIIing"),
        ("0x", "Ox"),
        ("modern", "rnodern"),
        ("口", "ロ"),  # an ideograph and a katakana
        ("𝓪𝓭𝓶𝓲𝓷", "admin"),
        ("e\u0301", "é"),
        ("❤", "❤️"),
    ],
)
def test_case_width_invisible_characters_and_look_alikes_make_no_second_name(one, other):
    assert are_one_name(one, other)
    assert are_one_name(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("小明", "小红"),
        ("小明", "小明1"),
        ("张三", "張三"),
        ("jose", "josé"),
        ("nan", "van"),
        ("ail", "all"),
        ("bill", "bili"),
        ("か", "が"),
        ("ば", "ぱ"),
        ("😀", "😁"),
        ("👍🏻", "👍🏿"),
        ("🇨🇳", "🇺🇸"),
        ("👩‍👩‍👧", "👩👩👧"),
        ("🏴󠁧󠁢󠁷󠁬󠁳󠁿", "🏴󠁧󠁢󠁳󠁣󠁴󠁿"),
        ("user2", "user3"),
        ("小明", "小 明"),
    ],
)
def test_names_that_a_person_can_tell_apart_are_two_names(one, other):
    assert not are_one_name(one, other)


@given(st.text(max_size=32))
def test_every_name_has_keys_and_the_same_ones_every_time(name):
    keys = make_name_keys(name)

    assert (len(keys.look_key), len(keys.capital_key), len(keys.fold_key)) == (32, 32, 32)
    assert make_name_keys(name) == keys


@given(st.text(min_size=1, max_size=32))
def test_a_name_that_is_taken_holds_nothing_hidden(value):
    try:
        name = user_name_of(value)
    except InvalidParameter:
        return

    assert not {ZERO_WIDTH_SPACE, RIGHT_TO_LEFT_OVERRIDE, "\x00", "\x1b"} & set(name)
    assert name.strip()
