"""What a like or a follow is to the stores: a last-writer-wins register for each pair of a user and a target.

A register says what the user last did to the target, and when: its version. It exists in up to three copies (Redis `r`, Redis `w`, a row in
MySQL). Wherever two copies meet, the greater version wins and an equal one changes nothing. That alone makes a repeated, late or replayed
action harmless.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Kind(StrEnum):
    """What is done to what. Its value names the queue and the guard row, and stands in the keys."""

    FAVORITE = "favorite"  # a user likes a video
    RELATION = "relation"  # a user follows a user


class ActionType(IntEnum):
    """As in the HTTP contract."""

    DO = 1
    UNDO = 2


@dataclass(frozen=True, slots=True)
class Action:
    """The content of one register: what a user last did to a target."""

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
