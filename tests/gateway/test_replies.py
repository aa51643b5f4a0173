"""Replies: every field written out, whole numbers, media URLs."""

import httpx

from protos.comment_pb2 import Comment, CommentActionReply
from protos.relation_pb2 import FriendUser, RelationFriendListReply
from protos.user_pb2 import User, UserInfoReply
from protos.video_pb2 import FeedReply, Video
from tests.gateway.conftest import VIEWER_ID
from tests.gateway.endpoints import assert_envelope
from tests.gateway.fakes import FakeServices


async def test_large_ids_stay_exact_numbers(
    client: httpx.AsyncClient, services: FakeServices
) -> None:
    largest = 2**53 - 1
    services.answers["UserInfo"] = UserInfoReply(user=User(id=largest))

    body = (await client.get(f"/douyin/user/?user_id={largest}")).json()

    assert services.last("UserInfo").user_id == largest
    assert body["user"]["id"] == largest


async def test_zero_values_are_written_and_nothing_is_null(
    client: httpx.AsyncClient, services: FakeServices
) -> None:
    services.answers["Feed"] = FeedReply(video_list=[Video(id=1)])

    response = await client.get("/douyin/feed")

    assert b"null" not in response.content
    (video,) = response.json()["video_list"]
    assert video == {
        "id": 1,
        "author": {
            "id": 0,
            "name": "",
            "follow_count": 0,
            "follower_count": 0,
            "is_follow": False,
            "avatar": "",
            "background_image": "",
            "signature": "",
            "total_favorited": 0,
            "work_count": 0,
            "favorite_count": 0,
        },
        "play_url": "",
        "cover_url": "",
        "favorite_count": 0,
        "comment_count": 0,
        "is_favorite": False,
        "title": "",
        "share_count": 0,
        "create_time": 0,
    }
    assert (await client.get("/douyin/comment/list?video_id=1")).json()["comment_list"] == []


async def test_a_comment_is_in_the_reply_to_its_creation_and_not_to_its_deletion(
    client: httpx.AsyncClient, services: FakeServices, token: str
) -> None:
    path = f"/douyin/comment/action/?token={token}&video_id=1"
    services.answers["CommentAction"] = CommentActionReply(comment=Comment(id=3, content="好"))
    created = await client.post(f"{path}&action_type=1&comment_text=x")
    services.answers["CommentAction"] = CommentActionReply()
    deleted = await client.post(f"{path}&action_type=2&comment_id=3")

    assert created.json()["comment"]["content"] == "好"
    assert assert_envelope(deleted, None) == {"status_code": 0, "status_msg": "成功"}


async def test_a_friend_carries_the_direction_under_both_spellings(
    client: httpx.AsyncClient, services: FakeServices, token: str
) -> None:
    services.answers["RelationFriendList"] = RelationFriendListReply(
        user_list=[FriendUser(id=5, msgType=1)]
    )

    reply = await client.get(f"/douyin/relation/friend/list/?token={token}&user_id={VIEWER_ID}")

    (friend,) = reply.json()["user_list"]
    assert (friend["msgType"], friend["msg_type"], friend["message"]) == (1, 1, "")


async def test_media_urls_have_the_host_that_the_request_came_to(
    client: httpx.AsyncClient, services: FakeServices
) -> None:
    services.answers["Feed"] = FeedReply(
        video_list=[Video(play_url="videos/a.mp4", author=User(avatar="avatars/b.png"))]
    )

    reply = await client.get("/douyin/feed/", headers={"Host": "192.168.1.7:8080"})

    (video,) = reply.json()["video_list"]
    assert video["play_url"] == "http://192.168.1.7:8080/media/videos/a.mp4"
    assert video["author"]["avatar"] == "http://192.168.1.7:8080/media/avatars/b.png"
    assert video["cover_url"] == ""
