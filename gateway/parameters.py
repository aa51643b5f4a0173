"""The parameters of endpoints as types: each refuses what the contract refuses, and documents itself."""

import re
from decimal import Decimal
from typing import Annotated
from urllib.parse import parse_qsl

from annotated_types import Ge, Le
from fastapi import Depends, Query, Request
from pydantic import BeforeValidator

from pkg.clock import now_ms
from pkg.errors import InvalidParameter
from pkg.ids import MAX_ID

EARLIEST_MS = 946_684_800_000  # 2000-01-01: no video is older
# The publication clock may run ahead of ours; a client that continues with `next_time` must not start over.
CLOCK_SKEW_MS = 86_400_000
NUMBER = re.compile(r"[0-9]{1,20}(\.[0-9]{1,9})?", re.ASCII)
BROKEN_TEXT = "文字编码不正确,请重新输入"


def _read_number(value: object) -> object:
    """Refuse what int() would let pass: signs, spaces, underscores and foreign digits."""
    if isinstance(value, str) and not (value.isascii() and value.isdigit() and len(value) <= 16):
        raise ValueError("not a number")
    return value


def _read_optional_number(value: object) -> object:
    return 0 if value == "" else _read_number(value)


def _read_nonzero(value: object) -> object:
    """Return 0 where nothing was given; who writes 0 means something that there is not."""
    if value == "0":
        raise ValueError("0 is none")
    return _read_optional_number(value)


# The bounds stand before the validator: behind it the documentation would show them under names of its own.
_Id = Annotated[int, Ge(1), Le(MAX_ID), BeforeValidator(_read_number)]
_OptionalId = Annotated[int, Ge(0), Le(MAX_ID), BeforeValidator(_read_optional_number)]

UserId = Annotated[_Id, Query(description="A user.")]
UserIdOrNone = Annotated[
    int,
    Le(MAX_ID),
    BeforeValidator(_read_nonzero),
    Query(
        json_schema_extra={"minimum": 1},
        description="A user; left out: the viewer, whose token is required then.",
    ),
]
ToUserId = Annotated[_Id, Query(description="The other user.")]
VideoId = Annotated[_Id, Query(description="A video.")]
CommentId = Annotated[_Id, Query(description="A comment.")]
OptionalVideoId = Annotated[_OptionalId, Query(description="One upload alone; 0: all recent ones.")]
OptionalCommentId = Annotated[
    _OptionalId, Query(description="The comment to delete (action_type 2).")
]
ActionType = Annotated[
    int, Ge(1), Le(2), BeforeValidator(_read_number), Query(description="1: do, 2: undo.")
]
SendAction = Annotated[
    int, Ge(1), Le(1), BeforeValidator(_read_number), Query(description="1: send.")
]
PreviousMessageTime = Annotated[
    _OptionalId, Query(description="`create_time` of the last message seen, ms; 0: none.")
]
LatestTime = Annotated[
    str,
    Query(
        description="Only videos older than this: seconds, milliseconds or microseconds since the epoch, told "
        "apart by magnitude. What makes no sense is taken as now."
    ),
]
Limit = Annotated[
    int,
    Le(500),  # The largest list's; each service refuses what is too much for its own.
    BeforeValidator(_read_nonzero),
    Query(
        json_schema_extra={"minimum": 1},
        description="Most items to return, up to what the list returns by default and at least 100; left out: that default.",
    ),
]
Cursor = Annotated[
    str,
    Query(max_length=256, description="`next_cursor` of the previous reply; empty: the beginning."),
]


def parse_latest_time(text: str) -> int:
    """Return the time in milliseconds that a client means, or 0 for now.

    Clients send seconds, milliseconds or microseconds, nothing, junk, and times in the future.
    """
    text = text.strip()
    if not NUMBER.fullmatch(text):
        return 0
    number = Decimal(text)
    if number < 10**11:
        milliseconds = int(number * 1000)
    elif number < 10**14:
        milliseconds = int(number)
    else:
        milliseconds = int(number / 1000)
    return milliseconds if EARLIEST_MS <= milliseconds <= now_ms() + CLOCK_SKEW_MS else 0


async def _refuse_broken_text(request: Request) -> None:
    """Refuse parameters of the endpoint that are not UTF-8: replaced characters would make different texts equal."""
    known = {parameter.alias for parameter in request.scope["route"].dependant.query_params}
    query = request.scope["query_string"].decode("ascii")
    try:
        for name, value in parse_qsl(query, errors="surrogateescape"):
            if name in known:
                value.encode("utf-8")
    except UnicodeEncodeError as exc:
        raise InvalidParameter(BROKEN_TEXT) from exc


ProperText = Depends(_refuse_broken_text)
