"""What lies in the queues `favorite` and `relation`: JSON with the names of the original and the version."""

from typing import Annotated, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dal.registers.model import Action, ActionType, Kind
from pkg.clock import now_ms
from pkg.ids import MAX_ID

# A version from the future would win over everything its person does until then.
MAX_CLOCK_SKEW_MS = 24 * 3600 * 1000

Id = Annotated[int, Field(ge=1, le=MAX_ID)]


class MalformedAction(Exception):
    """A message that is no action; the text says why and holds nothing of its content."""


class ActionMessage(BaseModel):
    """What both kinds of message have."""

    model_config = ConfigDict(strict=True)

    version: Id
    user_id: Id
    action_type: Literal[1, 2]
    created_at: Id  # ms


class FavoriteMessage(ActionMessage):
    video_id: Id


class RelationMessage(ActionMessage):
    to_user_id: Id


def encode_action(kind: Kind, action: Action) -> bytes:
    """Return the message that says what happened."""
    target = "video_id" if kind is Kind.FAVORITE else "to_user_id"
    return orjson.dumps(
        {
            "version": action.version,
            "user_id": action.user_id,
            target: action.target_id,
            "action_type": int(action.type),
            "created_at": action.version // 1000,
        }
    )


def decode_action(kind: Kind, body: bytes) -> Action:
    """Return what a message says.

    Raises:
        MalformedAction: it can never be applied.
    """
    try:
        if kind is Kind.FAVORITE:
            like = FavoriteMessage.model_validate_json(body)
            action = _to_action(like, like.video_id)
        else:
            follow = RelationMessage.model_validate_json(body)
            action = _to_action(follow, follow.to_user_id)
    except ValidationError as exc:
        raise MalformedAction(_describe(exc)) from exc
    if kind is Kind.RELATION and action.user_id == action.target_id:
        raise MalformedAction("to_user_id: is the user")
    if action.version // 1000 > now_ms() + MAX_CLOCK_SKEW_MS:
        raise MalformedAction("version: lies in the future")
    return action


def _to_action(message: ActionMessage, target_id: int) -> Action:
    return Action(message.user_id, target_id, message.version, ActionType(message.action_type))


def _describe(exc: ValidationError) -> str:
    problems = exc.errors(include_input=False, include_context=False, include_url=False)
    return "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'body'}: {problem['msg']}" for problem in problems
    )
