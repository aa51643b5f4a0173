"""What a like or a follow is to the stores: a register per pair in which the greater version wins.

A register says what a person last did to a target. It exists in up to three copies (Redis `r`, Redis `w`, a row in MySQL); wherever
two of them meet, the greater version wins and an equal one changes nothing. That alone makes a repeated, late or
replayed action harmless.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Kind(StrEnum):
    """What is done to what; also the name of the queue, of the guard row and in the keys."""

    FAVORITE = "favorite"  # a user likes a video
    RELATION = "relation"  # a user follows a user


class ActionType(IntEnum):
    """As in the HTTP contract."""

    DO = 1
    UNDO = 2


@dataclass(frozen=True, slots=True)
class Action:
    """One register's content."""

    user_id: int
    target_id: int
    version: int  # microseconds of the clock in dal/redis/clock.py, different for every action
    type: ActionType

    @property
    def pair(self) -> tuple[int, int]:
        """Whose register this is."""
        return self.user_id, self.target_id

    @property
    def active(self) -> bool:
        """Whether the target is liked or followed after this."""
        return self.type is ActionType.DO


def newest_by_target(actions: Iterable[Action]) -> dict[int, Action]:
    """Return the action with the greatest version for each target; all are of one user."""
    newest: dict[int, Action] = {}
    for action in actions:
        known = newest.get(action.target_id)
        if known is None or action.version > known.version:
            newest[action.target_id] = action
    return newest
