"""What handlers do with the fields of a request before anything else."""

from enum import IntEnum
from typing import TypeVar

from pkg.errors import InvalidParameter

E = TypeVar("E", bound=IntEnum)


def parse_action_type(types: type[E], value: int) -> E:
    """Return what `action_type` asks for; from here on it is a member of `types`.

    Raises:
        InvalidParameter: it is none of them.
    """
    try:
        return types(value)
    except ValueError as exc:
        raise InvalidParameter(detail="action_type") from exc
