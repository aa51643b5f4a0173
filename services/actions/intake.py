"""Accepting an action: a version, a message, a confirm."""

from dal.redis.clock import ActionClock
from dal.registers import Action, ActionType, Kind
from pkg.errors import InvalidParameter
from pkg.mq.publisher import Publisher
from services.actions.messages import encode_action


class ActionIntake:
    """Takes the actions of one kind; their targets are known to exist."""

    def __init__(self, kind: Kind, clock: ActionClock, publisher: Publisher) -> None:
        self._kind = kind
        self._clock = clock
        self._publisher = publisher

    async def accept(self, *, user_id: int, target_id: int, action_type: int) -> None:
        """Return when the action is safe in the queue.

        Raises:
            InvalidParameter: there is no such action type.
            DependencyUnavailable, DeadlineExceeded: it may or may not count.
        """
        known_type = parse_action_type(action_type)
        version = await self._clock.draw()
        action = Action(user_id, target_id, version, known_type)
        await self._publisher.publish(self._kind.value, encode_action(self._kind, action))


def parse_action_type(value: int) -> ActionType:
    """Return the action type of a request.

    Raises:
        InvalidParameter: it is neither 1 nor 2.
    """
    try:
        return ActionType(value)
    except ValueError as exc:
        raise InvalidParameter(detail="action_type") from exc
