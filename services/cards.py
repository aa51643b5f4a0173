"""Cards as they travel: the bytes of a card are made once for each way in which viewers see it, and a reply is joined from them."""

from typing import Any, TypeVar, cast

from google.protobuf.message import Message

from pkg.rpc.views import view_of
from protos.user_pb2 import User

# A card is seen in four ways; whenever its user's card has changed, in four others.
MOST_WAYS = 8

ReplyT = TypeVar("ReplyT", bound=Message)


class UserCard:
    """The card of a user."""

    __slots__ = ("_followed", "_plain")

    def __init__(self, user: User) -> None:
        self._plain = user.SerializeToString()
        user.is_follow = True
        self._followed = user.SerializeToString()

    def as_seen(self, *, is_follow: bool) -> bytes:
        """Return the card for viewers who follow this user, or for all others."""
        return self._followed if is_follow else self._plain


class OwnedCard:
    """A card that holds the card of a user, as videos and comments do.

    Args:
        card: without that user.
        user_field: the user's place in it.
    """

    __slots__ = ("_card", "_made", "_user_field", "id", "owner_id")

    def __init__(self, card: Any, *, user_field: str, owner_id: int) -> None:
        self.id: int = card.id
        self.owner_id = owner_id
        self._card: Any = view_of(card.DESCRIPTOR).FromString(card.SerializeToString())
        self._user_field = user_field
        self._made: dict[tuple[bytes, bool], bytes] = {}

    def as_seen(self, owner: bytes, *, is_favorite: bool) -> bytes:
        """Return the card with this user's card, for viewers who like it or for all others."""
        way = (owner, is_favorite)
        made = self._made.get(way)
        if made is None:
            if len(self._made) >= MOST_WAYS:
                self._made.clear()
            setattr(self._card, self._user_field, owner)
            self._card.is_favorite = is_favorite
            made = self._made[way] = self._card.SerializeToString()
        return made


def make_reply(reply_type: type[ReplyT], **fields: object) -> ReplyT:
    """Return a reply in which nested messages are given as they travel; it is sent as if it were made of messages."""
    return cast("ReplyT", view_of(reply_type.DESCRIPTOR)(**fields))
