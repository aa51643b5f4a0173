"""Replies of services as JSON, without a copy through a model.

For each kind of message one converter is made, once. It reads all fields with a single call, so that zero values are
written out and 64-bit numbers stay numbers.
"""

from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Any

import orjson
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from starlette.responses import Response

from gateway.errors import JSON

SUCCESS_MESSAGE = "成功"
# Services know objects by "<bucket>/<key>"; a phone needs a URL.
MEDIA_FIELDS = frozenset({"play_url", "cover_url", "avatar", "background_image"})
# Builds of the app differ in how they spell this field.
ALIASES = {"msgType": "msg_type"}

Converter = Callable[[Any, str], dict[str, Any]]


def render_reply(reply: Message, *, media_base: str) -> Response:
    """Return a service's successful reply as the envelope with everything that the service added."""
    return Response(render_body(reply, media_base=media_base), media_type=JSON)


def render_body(reply: Message, *, media_base: str) -> bytes:
    """Return the body of `render_reply`."""
    content = convert(reply, media_base=media_base)
    content["status_code"] = 0
    content["status_msg"] = SUCCESS_MESSAGE
    return orjson.dumps(content)


def json_response(content: dict[str, Any]) -> Response:
    """Return `content` as a JSON reply."""
    return Response(orjson.dumps(content), media_type=JSON)


def convert(message: Message, *, media_base: str) -> dict[str, Any]:
    """Return every field of `message`, zero values included, with media paths made into URLs.

    A nested object that the service left out of the reply itself is left out here too.
    """
    content = _converter(message.DESCRIPTOR)(message, media_base)
    for name in _optional_objects(message.DESCRIPTOR):
        if not message.HasField(name):
            del content[name]
    return content


@cache
def _optional_objects(descriptor: Descriptor) -> list[str]:
    return [field.name for field in descriptor.fields if _is_object(field) and not _is_list(field)]


@cache
def _converter(descriptor: Descriptor) -> Converter:
    names = [field.name for field in descriptor.fields]
    # With a single name attrgetter would return a bare value instead of a tuple.
    read_all = attrgetter(*names, "DESCRIPTOR")
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


def _is_object(field: FieldDescriptor) -> bool:
    return field.message_type is not None


def _is_list(field: FieldDescriptor) -> bool:
    return bool(field.is_repeated)
