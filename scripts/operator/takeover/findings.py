"""What is wrong in the original's database, in kinds: what is repaired, and what is left out."""

from collections import Counter
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

MOST_EXAMPLES = 3
EXAMPLE_CHARS = 80


class Kind(Enum):
    """A kind of dirt, as the operator reads it; False: the row does not become one of ours."""

    def __init__(self, label: str, is_kept: bool) -> None:
        self.label = label
        self.is_kept = is_kept

    TIME_UNKNOWN = "time missing: set to 1970", True
    TIME_IN_FUTURE = "time in the future: set to the time of the takeover", True
    TEXT_CLEANED = "text with control characters or of a wrong length: cleaned", True
    COUNTER_WRONG = "counter differs from its rows: counted again", True

    ACCOUNT_DELETED = "account deleted: stays deleted, its name stays taken", True
    NAME_TIDIED = "name with spaces around it or not in NFC: tidied, the login stays", True
    NAME_REPLACED = "name that nobody can log in with: replaced", True
    NAME_LOOKS_ALIKE = (
        "name that looks like an older one's: kept, its look belongs to the older",
        True,
    )
    NAME_LIKE_A_NEW_ONE_MUST_NOT_BE = "name that a new account could not have: kept", True
    PASSWORD_UNUSABLE = "password that is no MD5: the account cannot log in", True
    PICTURE_MISSING = "avatar or background without a file: the default", True

    FILE_COPIED = (
        "file whose key or type cannot be served as it is: copied under a key of ours",
        True,
    )
    FILE_NOT_SERVED = (
        "file whose key or type cannot be served as it is: left there, will not be seen",
        True,
    )
    FILE_IS_NO_MP4 = "video file that is no MP4: taken as it is", True
    COVER_MISSING = "cover without a file: a default", True
    VIDEO_TIME_MOVED = "video published at the time of another: moved by milliseconds", True
    MESSAGE_TIME_MOVED = "message sent at the time of another: moved by milliseconds", True
    MESSAGE_PLAIN = "message stored in plain text: encrypted", True
    MESSAGE_UNREADABLE = (
        "message that the given key cannot read: kept as it is, shown as unreadable",
        True,
    )

    ID_UNUSABLE = "id below 1 or above 2^53 - 1", False
    VIDEO_DELETED = "video deleted", False
    VIDEO_WITHOUT_AUTHOR = "video of an account that is gone", False
    VIDEO_WITHOUT_FILE = "video without a file", False
    COMMENT_WITHOUT_AUTHOR = "comment of an account that is gone", False
    COMMENT_WITHOUT_VIDEO = "comment on a video that is gone", False
    LIKE_WITHOUT_USER = "like of an account that is gone", False
    LIKE_WITHOUT_VIDEO = "like of a video that is gone", False
    LIKE_REPEATED = "like that is there twice", False
    FOLLOW_WITHOUT_USER = "follow of or by an account that is gone", False
    FOLLOW_OF_ONESELF = "follow of oneself", False
    FOLLOW_UNDONE = "follow that was undone", False
    FOLLOW_REPEATED = "follow that is there twice", False
    COMMENT_LIKE_WITHOUT_TARGET = "like of a comment, by or of something that is gone", False
    COMMENT_LIKE_REPEATED = "like of a comment that is there twice", False
    MESSAGE_WITHOUT_USER = "message of or to an account that is gone", False
    MESSAGE_TO_ONESELF = "message to oneself", False


class Findings:
    """How often each kind was found, with the first examples."""

    def __init__(self) -> None:
        self._numbers: Counter[Kind] = Counter()
        self._examples: dict[Kind, list[str]] = {}

    def add(self, kind: Kind, example: str) -> None:
        """Count one; `example` names the row, and nothing that is secret."""
        self._numbers[kind] += 1
        examples = self._examples.setdefault(kind, [])
        if len(examples) < MOST_EXAMPLES:
            examples.append(example[:EXAMPLE_CHARS])

    def merge(self, other: "Findings") -> None:
        """Add what another one counted later."""
        for kind, number in other._numbers.items():
            self._numbers[kind] += number
            examples = self._examples.setdefault(kind, [])
            examples += other._examples[kind][: MOST_EXAMPLES - len(examples)]

    def __iter__(self) -> Iterator[tuple[Kind, int, list[str]]]:
        """Yield kind, number and examples, in the order of the kinds."""
        for kind in Kind:
            if kind in self._numbers:
                yield kind, self._numbers[kind], self._examples[kind]

    def to_json(self) -> dict[str, Any]:
        """Return it as it is stored."""
        return {kind.name: [number, *examples] for kind, number, examples in self}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Findings":
        """Return what `to_json` gave."""
        findings = cls()
        for name, (number, *examples) in stored.items():
            findings._numbers[Kind[name]] = number
            findings._examples[Kind[name]] = examples
        return findings
