"""The documented replies and the messages of the services have the same fields."""

import pytest
from google.protobuf.descriptor import Descriptor
from pydantic import BaseModel

from gateway import schemas
from protos import (
    comment_pb2,
    favorite_pb2,
    message_pb2,
    relation_pb2,
    user_pb2,
    video_pb2,
)

DOCUMENTED: list[tuple[Descriptor, type[BaseModel]]] = [
    (user_pb2.RegisterReply.DESCRIPTOR, schemas.SessionReply),
    (user_pb2.LoginReply.DESCRIPTOR, schemas.SessionReply),
    (user_pb2.UserInfoReply.DESCRIPTOR, schemas.UserReply),
    (video_pb2.FeedReply.DESCRIPTOR, schemas.FeedReply),
    (video_pb2.PublishActionReply.DESCRIPTOR, schemas.PublishReply),
    (video_pb2.PublishListReply.DESCRIPTOR, schemas.VideoListReply),
    (video_pb2.PublishStatusReply.DESCRIPTOR, schemas.PublishStatusReply),
    (favorite_pb2.FavoriteActionReply.DESCRIPTOR, schemas.Envelope),
    (favorite_pb2.FavoriteListReply.DESCRIPTOR, schemas.VideoListReply),
    (comment_pb2.CommentActionReply.DESCRIPTOR, schemas.CommentReply),
    (comment_pb2.CommentListReply.DESCRIPTOR, schemas.CommentListReply),
    (comment_pb2.CommentFavoriteReply.DESCRIPTOR, schemas.Envelope),
    (relation_pb2.RelationActionReply.DESCRIPTOR, schemas.Envelope),
    (relation_pb2.RelationFollowListReply.DESCRIPTOR, schemas.UserListReply),
    (relation_pb2.RelationFollowerListReply.DESCRIPTOR, schemas.UserListReply),
    (relation_pb2.RelationFriendListReply.DESCRIPTOR, schemas.FriendListReply),
    (message_pb2.MessageChatReply.DESCRIPTOR, schemas.MessageListReply),
    (message_pb2.MessageActionReply.DESCRIPTOR, schemas.Envelope),
]


@pytest.mark.parametrize(
    ("descriptor", "model"),
    DOCUMENTED,
    ids=lambda value: value.__name__ if isinstance(value, type) else value.name,
)
def test_the_documented_reply_is_what_the_service_answers(
    descriptor: Descriptor, model: type[BaseModel]
) -> None:
    assert _flatten_model(model) == _flatten_message(descriptor)


def _flatten_message(descriptor: Descriptor, prefix: str = "") -> set[str]:
    names = set()
    for field in descriptor.fields:
        names.add(prefix + field.name)
        if field.name == "msgType":
            names.add(prefix + "msg_type")
        if field.message_type is not None:
            names |= _flatten_message(field.message_type, f"{prefix}{field.name}.")
    return names


def _flatten_model(model: type[BaseModel], prefix: str = "") -> set[str]:
    names = set()
    for name, field in model.model_fields.items():
        names.add(prefix + name)
        for candidate in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                names |= _flatten_model(candidate, f"{prefix}{name}.")
    return names
