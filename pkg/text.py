"""Rules for what people type: counted in characters after NFC normalisation, never in bytes."""

import unicodedata

from pkg.errors import InvalidParameter

# Control characters and line separators; format characters stay, emoji are joined with them.
REFUSED_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
LINE_CHARACTERS = frozenset("\t\n\r")


def clean_name(value: str, *, label: str, max_chars: int) -> str:
    """Return a name or title in NFC without white space at its ends.

    Args:
        label: what the field is called on the phone, for the message.

    Raises:
        InvalidParameter: empty, too long, or with a control character.
    """
    name = _trim(value, label=label, max_chars=max_chars)
    if any(unicodedata.category(char) in REFUSED_CATEGORIES for char in name):
        raise InvalidParameter(f"{label}不能包含换行或控制字符")
    return name


def clean_text(value: str, *, label: str, max_chars: int) -> str:
    """Return a text in NFC without white space at its ends; the rest, its lines too, stays as it was written.

    Raises:
        InvalidParameter: empty, too long, or with a control character.
    """
    refuse_control_characters(value, label=label)
    return _trim(value, label=label, max_chars=max_chars)


def refuse_control_characters(value: str, *, label: str) -> None:
    """Check that a text of several lines holds no control character but line breaks and tabs.

    Raises:
        InvalidParameter: it does: NUL, ESC and the like show nothing, and steer whatever prints them.
    """
    if any(unicodedata.category(char) == "Cc" and char not in LINE_CHARACTERS for char in value):
        raise InvalidParameter(f"{label}不能包含控制字符")


def check_length(value: str, *, label: str, max_chars: int) -> None:
    """Check that there are 1 to `max_chars` characters, however each of them was typed.

    Raises:
        InvalidParameter: there are not.
    """
    if not value:
        raise InvalidParameter(f"{label}不能为空")
    if len(unicodedata.normalize("NFC", value)) > max_chars:
        raise InvalidParameter(f"{label}不能超过{max_chars}个字符")


def _trim(value: str, *, label: str, max_chars: int) -> str:
    text = unicodedata.normalize("NFC", value).strip()
    check_length(text, label=label, max_chars=max_chars)
    return text
