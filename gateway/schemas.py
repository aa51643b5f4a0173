"""The replies as the documentation shows them. At run time nothing passes through these models (see replies.py).

A business error holds the same fields at their zero values (see zero_values.py); objects are left out of it.
"""

from typing import Any, Literal

from pydantic import BaseModel, Field
from pydantic.json_schema import SkipJsonSchema

# What an object is that a reply does not hold: left out, never null.
Absent = SkipJsonSchema[None]


def _drop_default(schema: dict[str, Any]) -> None:
    del schema["default"]


class Envelope(BaseModel):
    status_code: int = Field(description="0: success; anything else: see the table of errors.")
    status_msg: str = Field(description="For the person who holds the phone.")


class Page(Envelope):
    next_cursor: str = Field(description="`cursor` of the next page; empty at the end.")


class User(BaseModel):
    id: int
    name: str
    follow_count: int
    follower_count: int
    is_follow: bool = Field(description="The viewer follows this user.")
    avatar: str = Field(description="URL of a picture.")
    background_image: str = Field(description="URL of a picture.")
    signature: str
    total_favorited: int = Field(description="Likes that this user's videos have.")
    work_count: int = Field(description="Published videos.")
    favorite_count: int = Field(description="Videos that this user likes.")


class FriendUser(User):
    message: str = Field(description="The latest message between the two; empty if none.")
    msgType: int = Field(description="0: the viewer received it; 1: the viewer sent it.")  # noqa: N815
    msg_type: int = Field(description="The same as `msgType`.")


class Video(BaseModel):
    id: int
    author: User
    play_url: str = Field(description="URL of the video; supports ranges.")
    cover_url: str = Field(description="URL of a picture.")
    favorite_count: int
    comment_count: int
    is_favorite: bool = Field(description="The viewer likes this video.")
    title: str
    share_count: int
    create_time: int = Field(description="Time of publication, ms; different for every video.")


class Comment(BaseModel):
    id: int
    user: User
    content: str
    create_date: str = Field(description="`MM-DD`.")
    like_count: int
    tease_count: int
    is_favorite: bool = Field(description="The viewer likes this comment.")


class Message(BaseModel):
    id: int
    to_user_id: int
    from_user_id: int
    content: str
    create_time: int = Field(description="ms; strictly increasing within a conversation.")


class Publication(BaseModel):
    video_id: int
    title: str
    status: Literal["processing", "published", "failed"]
    reason: str = Field(description="Of a failure; else empty.")
    create_time: int = Field(description="When the upload began, ms.")
    progress: int = Field(description="Of the work, in percent; 100: published.")
    queue_position: int = Field(description="1: it is begun next; 0: it is under way, or done.")


class SessionReply(Envelope):
    user_id: int
    token: str


class UserReply(Envelope):
    user: User | Absent = Field(
        default=None, description="Absent from an error.", json_schema_extra=_drop_default
    )


class FeedReply(Envelope):
    video_list: list[Video]
    next_time: int = Field(description="`latest_time` of the next request, ms.")


class PublishReply(Envelope):
    video_id: int


class VideoListReply(Page):
    video_list: list[Video]


class PublishStatusReply(Page):
    publish_list: list[Publication]


class CommentReply(Envelope):
    comment: Comment | Absent = Field(
        default=None,
        description="The new comment; absent after a deletion.",
        json_schema_extra=_drop_default,
    )


class CommentListReply(Page):
    comment_list: list[Comment]


class UserListReply(Page):
    user_list: list[User]


class FriendListReply(Page):
    user_list: list[FriendUser]


class MessageListReply(Page):
    message_list: list[Message]


class ReadinessReply(Envelope):
    missing: list[str] = Field(description="Services that do not answer.")
