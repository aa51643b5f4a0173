"""Replies of services as JSON, without a copy through a model.

A reply is read through a view (pkg/rpc/views.py) that leaves its cards as they travelled; the JSON of each card is kept by its bytes
(fragments.py), and the body is joined. For each kind of message one converter is made, once. It reads all fields with a single call,
so that zero values are written out and 64-bit numbers stay numbers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import Any

import orjson
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from starlette.responses import Response

from gateway.errors import JSON
from gateway.fragments import FragmentCache
from pkg.rpc.method import RawReply
from pkg.rpc.views import view_of

SUCCESS_MESSAGE = "成功"
# Services know objects by "<bucket>/<key>"; a phone needs a URL.
MEDIA_FIELDS = frozenset({"play_url", "cover_url", "avatar", "background_image"})
# Builds of the app differ in how they spell this field.
ALIASES = {"msgType": "msg_type"}

Converter = Callable[[Any, str], dict[str, Any]]


class Replies:
    """Renders the successful replies of services; the JSON of their cards is kept (fragments.py)."""

    def __init__(self, fragments: FragmentCache) -> None:
        self._fragments = fragments

    def render(self, reply: RawReply, *, media_base: str) -> Response:
        """Return a service's reply as the envelope with everything that the service added."""
        return Response(self.render_body(reply, media_base=media_base), media_type=JSON)

    def render_body(self, reply: RawReply, *, media_base: str) -> bytes:
        """Return the body of `render`.

        A nested object that the service left out of the reply is left out here too.
        """
        layout = _layout_of(reply.type)
        view = layout.view.FromString(reply.content)
        content = dict(zip(layout.names, layout.read_all(view), strict=False))
        for name, card_type in layout.lists:
            content[name] = self._find(card_type, content[name], media_base)
        for name, card_type in layout.objects:
            if view.HasField(name):
                (content[name],) = self._find(card_type, [content[name]], media_base)
            else:
                del content[name]
        return _dump_envelope(content)

    def _find(
        self, card_type: Descriptor, cards: Sequence[bytes], media_base: str
    ) -> list[orjson.Fragment]:
        def make(card: bytes) -> bytes:
            message = GetMessageClass(card_type).FromString(card)
            return orjson.dumps(convert(message, media_base=media_base))

        return self._fragments.find(card_type.name, media_base, cards, make)


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a kind of reply is read: its own fields, and where cards stand in it."""

    view: Any
    names: list[str]
    read_all: Callable[[Message], tuple[Any, ...]]
    lists: list[tuple[str, Descriptor]]
    objects: list[tuple[str, Descriptor]]


@cache
def _layout_of(descriptor: Descriptor) -> _Layout:
    nested = [
        (field.name, field.message_type, _is_list(field))
        for field in descriptor.fields
        if field.message_type is not None
    ]
    names = [field.name for field in descriptor.fields]
    return _Layout(
        view=view_of(descriptor),
        names=names,
        read_all=_reader_of(names),
        lists=[(name, card_type) for name, card_type, is_list in nested if is_list],
        objects=[(name, card_type) for name, card_type, is_list in nested if not is_list],
    )


def success(content: dict[str, Any]) -> Response:
    """Return `content` in the envelope of a success."""
    return Response(_dump_envelope(content), media_type=JSON)


def _dump_envelope(content: dict[str, Any]) -> bytes:
    content["status_code"] = 0
    content["status_msg"] = SUCCESS_MESSAGE
    return orjson.dumps(content)


def convert(message: Message, *, media_base: str) -> dict[str, Any]:
    """Return every field of `message`, zero values included, with media paths made into URLs."""
    return _converter(message.DESCRIPTOR)(message, media_base)


@cache
def _converter(descriptor: Descriptor) -> Converter:
    names = [field.name for field in descriptor.fields]
    read_all = _reader_of(names)
    media = [name for name in names if name in MEDIA_FIELDS]
    aliases = [(name, ALIASES[name]) for name in names if name in ALIASES]
    objects = [
        (field.name, _converter(field.message_type), _is_list(field))
        for field in descriptor.fields
        if _is_object(field)
    ]

    def to_dict(message: Any, media_base: str) -> dict[str, Any]:
        content = dict(zip(names, read_all(message), strict=False))
        for name in media:
            if content[name]:
                content[name] = media_base + content[name]
        for name, convert_one, is_list in objects:
            value = content[name]
            content[name] = (
                [convert_one(item, media_base) for item in value]
                if is_list
                else convert_one(value, media_base)
            )
        for name, alias in aliases:
            content[alias] = content[name]
        return content

    return to_dict


def _reader_of(names: Sequence[str]) -> Callable[[Message], tuple[Any, ...]]:
    # With a single name attrgetter would return a bare value instead of a tuple.
    return attrgetter(*names, "DESCRIPTOR")


def _is_object(field: FieldDescriptor) -> bool:
    return field.message_type is not None


def _is_list(field: FieldDescriptor) -> bool:
    return bool(field.is_repeated)
