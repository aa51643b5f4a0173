"""Names and titles: what one may look like, and when two names are one to a person who reads them."""

import json
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files

import regex

from pkg.errors import InvalidParameter
from pkg.text import clean_name

# The joiners inside an emoji: between two pictures, and the letters of a flag like that of Wales.
JOINERS = (
    r"(?<=\p{Extended_Pictographic}\p{Emoji_Modifier}?\uFE0F?)\u200D(?=\p{Extended_Pictographic})"
    r"|(?<=\U0001F3F4[\U000E0020-\U000E007E]*)[\U000E0020-\U000E007F]"
)
FORMAT_CHARACTER = regex.compile(rf"(?:{JOINERS})(*SKIP)(*FAIL)|\p{{Cf}}")
# Beside what Unicode calls ignorable: Braille without a dot, the place of an object, and what no font has a picture for.
BLANK = r"\p{Default_Ignorable_Code_Point}\p{Co}\p{Noncharacter_Code_Point}\u2800\uFFFC"
INVISIBLE = regex.compile(rf"(?:{JOINERS})(*SKIP)(*FAIL)|[{BLANK}]")
VISIBLE = regex.compile(rf"[[\p{{L}}\p{{N}}\p{{P}}\p{{S}}]--[{BLANK}]]", regex.V1)
TABLE = files("confusable_homoglyphs") / "confusables.json"


@dataclass(frozen=True, slots=True)
class NameKeys:
    """What no two names may share, as digests. None of the keys alone is enough.

    Attributes:
        look_key: of the name as it is written, where I and 1 are a small L: paypaI is paypal.
        capital_key: of the name as it is written, where I and 1 are an i: ΝΙΚΕ in Greek letters is nike.
        fold_key: of the name in small letters: НИНА is нина, though a capital Н looks like an H and a small one does not.
    """

    look_key: bytes
    capital_key: bytes
    fold_key: bytes


def clean_title(value: str, *, label: str, max_chars: int) -> str:
    """Return a title in NFC without white space at its ends.

    Raises:
        InvalidParameter: empty, too long, with a control character, or nothing of it can be seen.
    """
    title = clean_name(value, label=label, max_chars=max_chars)
    _require_visible(title, label=label)
    return title


def clean_user_name(value: str, *, label: str, max_chars: int) -> str:
    """Return the name of a new account in NFC without white space at its ends.

    Raises:
        InvalidParameter: empty, too long, with a control or format character, or nothing of it can be seen.
    """
    name = clean_name(value, label=label, max_chars=max_chars)
    if FORMAT_CHARACTER.search(name):
        raise InvalidParameter(f"{label}不能包含控制字符或不可见字符")
    _require_visible(name, label=label)
    return name


def make_name_keys(name: str) -> NameKeys:
    """Return the keys of a name: equal for names that differ in case, width, invisible or look-alike characters.

    Source: the skeleton of UTS #39, section 4. Stored keys depend on its table, so a new table needs a migration.
    """
    seen = unicodedata.normalize("NFKC", INVISIBLE.sub("", name))
    return NameKeys(
        look_key=_digest(seen, _prototypes()),
        capital_key=_digest(seen, _prototypes_of_capitals()),
        fold_key=_digest(seen.casefold(), _prototypes()),
    )


def _require_visible(text: str, *, label: str) -> None:
    if not VISIBLE.search(text):
        raise InvalidParameter(f"{label}需要包含看得见的字符")


def _digest(seen: str, prototypes: dict[int, str]) -> bytes:
    skeleton = unicodedata.normalize("NFD", seen).translate(prototypes)
    # Again in small letters: a small m looks like rn, a capital one does not.
    folded = unicodedata.normalize("NFD", skeleton.casefold()).translate(_prototypes())
    return sha256(" ".join(folded.split()).encode("utf-8", errors="surrogatepass")).digest()


@cache
def _prototypes() -> dict[int, str]:
    """Return for every character that looks like another the one that stands for all of them."""
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    neighbours = {
        _bare(char): {_bare(like["c"]) for like in likes} for char, likes in table.items()
    }
    return {
        ord(char): prototype
        for char, prototype in _pair_with_prototypes(neighbours)
        if len(char) == 1 and char != prototype
    }


@cache
def _prototypes_of_capitals() -> dict[int, str]:
    """Return the same, with I for the capitals and digits that look like a small L as well."""
    prototypes = _prototypes()
    return prototypes | {
        code: "I"
        for code, prototype in prototypes.items()
        if prototype == "l" and (chr(code).isupper() or chr(code).isnumeric())
    }


def _pair_with_prototypes(neighbours: dict[str, set[str]]) -> Iterator[tuple[str, str]]:
    # The table names every pair in both directions: whoever has most neighbours is the prototype of them all.
    for char, likes in neighbours.items():
        yield (
            char,
            max({char, *likes}, key=lambda like: (len(neighbours.get(like, ())), len(like), like)),
        )


def _bare(char: str) -> str:
    # The table marks characters that are written from right to left.
    return char.replace("\u200e", "")
