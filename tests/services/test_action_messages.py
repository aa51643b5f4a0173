"""Messages of likes and follows: what they say, and that what can never be applied is refused."""

import orjson
import pytest

from dal.registers.model import Action, ActionType, Kind
from pkg.clock import now_ms
from services.actions.messages import MalformedAction, decode_action, encode_action

DO, UNDO = ActionType.DO, ActionType.UNDO
FAVORITE, RELATION = Kind.FAVORITE, Kind.RELATION


@pytest.mark.parametrize("kind", Kind)
def test_a_message_says_what_was_done(kind):
    action = Action(7, 8, now_ms() * 1000, UNDO)
    assert decode_action(kind, encode_action(kind, action)) == action


def test_the_message_has_the_names_of_the_contract():
    body = encode_action(FAVORITE, Action(7, 8, 1_700_000_000_000_000, DO))
    assert orjson.loads(body) == {
        "version": 1_700_000_000_000_000,
        "video_id": 8,
        "user_id": 7,
        "action_type": 1,
        "created_at": 1_700_000_000_000,
    }


@pytest.mark.parametrize(
    "change",
    [
        {"version": None},
        {"version": "1"},
        {"version": True},
        {"version": -1},
        {"version": 2**53},
        {"version": (now_ms() + 3 * 24 * 3600 * 1000) * 1000},
        {"user_id": 0},
        {"user_id": 2**63},
        {"to_user_id": 7},
        {"to_user_id": 1.5},
        {"action_type": 3},
        {"action_type": [1]},
        {"created_at": "now"},
    ],
)
def test_a_message_with_a_wrong_value_is_refused(change):
    message = orjson.loads(encode_action(RELATION, Action(7, 8, now_ms() * 1000, DO)))
    with pytest.raises(MalformedAction):
        decode_action(RELATION, orjson.dumps(message | change))


@pytest.mark.parametrize("body", [b"", b"\xff", b"{", b"null", b"[]", b"{}", b'"like"'])
def test_what_is_no_action_at_all_is_refused(body):
    with pytest.raises(MalformedAction):
        decode_action(FAVORITE, body)
