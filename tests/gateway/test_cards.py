"""JSON of cards that is kept: the same bytes as without it, never stale, bounded."""

from typing import Any

import orjson
import pytest
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.fragments import ENTRY_BYTES, FragmentCache
from gateway.replies import SUCCESS_MESSAGE, Replies, convert
from pkg.rpc.method import RawReply
from pkg.rpc.views import view_of
from protos.comment_pb2 import Comment, CommentActionReply, CommentListReply
from protos.relation_pb2 import FriendUser, RelationFriendListReply
from protos.user_pb2 import User, UserInfoReply
from protos.video_pb2 import FeedReply, Video
from tests.gateway.fakes import list_methods

BASE = "http://phone:8080/media/"
REPLY_TYPES = [method.output_type for method in list_methods()]


def render(reply: Message, replies: Replies, base: str = BASE) -> bytes:
    descriptor: Any = reply.DESCRIPTOR
    raw = RawReply(descriptor, reply.SerializeToString())
    return replies.render_body(raw, media_base=base)


def render_whole(reply: Message) -> dict[str, Any]:
    """Render without views and fragments."""
    content = convert(reply, media_base=BASE)
    for field in reply.DESCRIPTOR.fields:
        if field.message_type and not field.is_repeated and not reply.HasField(field.name):
            del content[field.name]
    return content | {"status_code": 0, "status_msg": SUCCESS_MESSAGE}


def fill(descriptor: Descriptor, data: st.DataObject) -> Message:
    """Return a message with values in any of its fields."""
    message = GetMessageClass(descriptor)()
    for field in descriptor.fields:
        if field.message_type and field.is_repeated:
            for _ in range(data.draw(st.integers(0, 3))):
                getattr(message, field.name).append(fill(field.message_type, data))
        elif field.message_type:
            if data.draw(st.booleans()):
                getattr(message, field.name).CopyFrom(fill(field.message_type, data))
        elif field.type == field.TYPE_STRING:
            setattr(message, field.name, data.draw(st.text(max_size=8)))
        elif field.type == field.TYPE_BOOL:
            setattr(message, field.name, data.draw(st.booleans()))
        else:
            setattr(message, field.name, data.draw(st.integers(0, 2**31 - 1)))
    return message


@pytest.mark.parametrize("descriptor", REPLY_TYPES, ids=lambda descriptor: descriptor.name)
@settings(max_examples=30)
@given(data=st.data())
def test_a_body_with_kept_cards_says_what_one_without_does(descriptor, data):
    replies = Replies(FragmentCache(1_000_000))
    reply = fill(descriptor, data)

    first, second = render(reply, replies), render(reply, replies)

    assert first == second
    assert orjson.loads(first) == render_whole(reply)


def test_a_card_that_changed_is_shown_as_it_is():
    replies = Replies(FragmentCache(1_000_000))
    video = Video(id=1, favorite_count=1)
    render(FeedReply(video_list=[video]), replies)

    video.favorite_count = 2
    body = orjson.loads(render(FeedReply(video_list=[video]), replies))

    assert body["video_list"][0]["favorite_count"] == 2


def test_the_same_bytes_are_different_json_for_other_messages_and_other_hosts():
    replies = Replies(FragmentCache(1_000_000))
    comment, friend = Comment(id=7), User(id=7)
    assert comment.SerializeToString() == friend.SerializeToString()

    as_comment = orjson.loads(render(CommentListReply(comment_list=[comment]), replies))
    as_user = orjson.loads(render(UserInfoReply(user=friend), replies))
    elsewhere = render(
        FeedReply(video_list=[Video(play_url="videos/1.mp4")]), replies, base="http://other/media/"
    )
    here = render(FeedReply(video_list=[Video(play_url="videos/1.mp4")]), replies)

    assert "content" in as_comment["comment_list"][0]
    assert "name" in as_user["user"]
    assert b"http://other/media/videos/1.mp4" in elsewhere
    assert b"http://phone:8080/media/videos/1.mp4" in here


@pytest.mark.parametrize("descriptor", REPLY_TYPES, ids=lambda descriptor: descriptor.name)
def test_a_view_tells_absent_from_empty_as_its_message_does(descriptor):
    for field in descriptor.fields:
        if field.message_type is None or field.is_repeated:
            continue
        absent, empty = GetMessageClass(descriptor)(), GetMessageClass(descriptor)()
        getattr(empty, field.name).SetInParent()

        view: Any = view_of(descriptor)
        assert not view.FromString(absent.SerializeToString()).HasField(field.name)
        assert view.FromString(empty.SerializeToString()).HasField(field.name)


class Made:
    """Counts how often each fragment had to be made."""

    def __init__(self, max_bytes: int) -> None:
        self.cache = FragmentCache(max_bytes)
        self.count = 0

    def get(self, *contents: bytes) -> None:
        fragments = self.cache.find("Video", BASE, contents, self._make)
        assert orjson.dumps(fragments) == orjson.dumps([content.hex() for content in contents])

    def _make(self, content: bytes) -> bytes:
        self.count += 1
        return orjson.dumps(content.hex())

    @property
    def entries(self) -> int:
        generations = (self.cache._young, self.cache._old)
        return sum(len(entries) for kept in generations for entries in kept.values())


def test_a_card_is_made_once_while_it_is_used():
    made = Made(1_000_000)
    for _ in range(100):
        made.get(b"often used")

    assert made.count == 1


def test_a_card_that_is_twice_in_a_reply_is_made_once():
    made = Made(1_000_000)
    made.get(b"one")
    made.get(b"two", b"one", b"two")

    assert made.count == 2


def test_what_is_used_stays_while_others_come_and_go():
    made = Made(100 * ENTRY_BYTES)
    made.get(b"often used")
    for number in range(1_000):
        made.get(b"%d" % number)
        made.get(b"often used")

    assert made.count == 1_001


def test_the_cache_is_bounded_in_bytes():
    made = Made(100 * ENTRY_BYTES)
    for number in range(10_000):
        made.get(b"%d" % number)

    assert made.entries <= 100


def test_a_card_larger_than_the_cache_is_not_kept_and_pushes_nothing_out_twice():
    made = Made(10 * ENTRY_BYTES)
    made.get(b"x" * 100_000)

    assert made.entries == 0


def test_a_cache_of_no_size_keeps_nothing():
    made = Made(0)
    made.get(b"one")
    made.get(b"one")

    assert (made.count, made.entries) == (2, 0)


def test_a_reply_without_cards_is_rendered_like_any_other():
    replies = Replies(FragmentCache(0))

    assert orjson.loads(render(CommentActionReply(), replies)) == {
        "status_code": 0,
        "status_msg": SUCCESS_MESSAGE,
    }
    body = orjson.loads(
        render(RelationFriendListReply(user_list=[FriendUser(id=5, msgType=1)]), replies)
    )
    assert body["user_list"][0]["msg_type"] == body["user_list"][0]["msgType"] == 1
