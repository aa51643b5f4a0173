"""Rows of an original with every kind of dirt, each once, and the objects that its rows name."""

import base64
import hashlib
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pkg.storage import Bucket
from services.buckets import USER_AVATARS_BUCKET, VIDEO_COVERS_BUCKET, VIDEOS_BUCKET
from tests.operator.takeover.original import Original

ZONE = "Asia/Shanghai"
# Noon there; in UTC it is four o'clock in the morning.
NOON = datetime(2023, 6, 1, 12)  # noqa: DTZ001 - the original's times have no zone
NOON_MS = 1_685_592_000_000
JPEG = b"\xff\xd8\xff\xe0" + bytes(60)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(60)
MP4 = b"\x00\x00\x00\x20ftypisom" + bytes(60)

ALICE, BOB, DELETED, LOOKALIKE, SPACES, LONG, NO_MD5, UPPER, TWIN, HIDDEN = range(1, 11)
GONE = 4_000
PLAIN, CHINESE, REAL_PNG, NO_COVER, SAME_TIME, ODD_TIME, NO_MP4, FUTURE = range(1, 9)
VIDEO_DELETED, NO_AUTHOR, NO_FILE = range(20, 23)


def md5(password: str) -> str:
    return hashlib.md5(password.encode(), usedforsecurity=False).hexdigest()


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def key(title: str, minutes: int, ending: str = ".mp4") -> str:
    return f"{ALICE}_{title}_{NOON_MS + minutes * 60_000}{ending}"


def fill(original: Original, pair: rsa.RSAPrivateKey) -> None:
    """Insert everything."""
    add_accounts(original)
    add_videos(original)
    add_comments(original)
    add_actions(original)
    add_messages(original, pair)


def add_accounts(original: Original) -> None:
    def user(user_id: int, name: str, **columns: Any) -> dict[str, Any]:
        row = {"id": user_id, "user_name": name, "password": md5("secret"), "created_at": NOON}
        return row | columns

    original.add(
        "users",
        user(ALICE, "alice", password=md5("alice's"), avatar="face.png", favorite_count=2**64 - 1),
        user(BOB, "bob", avatar="lost.png", background_image=None, signature="hi\x1b[31m"),
        user(DELETED, "carol", deleted_at=at(1)),
        user(LOOKALIKE, "аlice"),
        user(SPACES, " e\u0301ve "),
        user(LONG, "x" * 40),
        user(NO_MD5, "dora", password="open"),
        user(UPPER, "frank", password=md5("secret").upper(), created_at=None),
        user(TWIN, "bob"),
        user(HIDDEN, "ab\u200bc"),
        user(0, "zero"),
    )


def add_videos(original: Original) -> None:
    def video(video_id: int, title: str, minutes: int, **columns: Any) -> dict[str, Any]:
        row: dict[str, Any] = {"id": video_id, "title": title, "author_id": ALICE}
        row |= {"created_at": at(minutes), "play_url": key(title, minutes)}
        return row | {"cover_url": key(title, minutes, ".png")} | columns

    original.add(
        "videos",
        video(PLAIN, "plain", 1, favorite_count=77),
        video(CHINESE, "你好 世界?", 2),
        video(REAL_PNG, "real", 3),
        video(NO_COVER, "bare", 4),
        video(SAME_TIME, "same", 4),
        video(ODD_TIME, "odd\ntime", 0, created_at=None, play_url="odd.mp4", cover_url="odd.png"),
        video(NO_MP4, "webm", 6),
        video(FUTURE, "future", 60 * 24 * 365 * 40, play_url="future.mp4", cover_url="future.png"),
        video(VIDEO_DELETED, "deleted", 8, deleted_at=at(9)),
        video(NO_AUTHOR, "orphan", 9, author_id=GONE),
        video(NO_FILE, "lost", 10),
    )


OBJECTS: dict[tuple[Bucket, str], bytes] = {
    (USER_AVATARS_BUCKET, "face.png"): JPEG,
    **{(VIDEOS_BUCKET, key(title, minutes)): MP4 for title, minutes in (
        ("plain", 1), ("你好 世界?", 2), ("real", 3), ("bare", 4), ("same", 4), ("orphan", 9)
    )},
    **{(VIDEO_COVERS_BUCKET, key(title, minutes, ".png")): JPEG for title, minutes in (
        ("plain", 1), ("你好 世界?", 2), ("same", 4), ("webm", 6), ("lost", 10)
    )},
    (VIDEO_COVERS_BUCKET, key("real", 3, ".png")): PNG,
    (VIDEOS_BUCKET, key("webm", 6)): b"\x1a\x45\xdf\xa3" + b"webm" * 10,
    (VIDEOS_BUCKET, "odd.mp4"): MP4,
    (VIDEO_COVERS_BUCKET, "odd.png"): JPEG,
    (VIDEOS_BUCKET, "future.mp4"): MP4,
    (VIDEO_COVERS_BUCKET, "future.png"): JPEG,
}  # fmt: skip


def add_comments(original: Original) -> None:
    def comment(comment_id: int, video_id: int, user_id: int, **columns: Any) -> dict[str, Any]:
        row = {"id": comment_id, "video_id": video_id, "user_id": user_id, "content": "好"}
        return row | {"created_at": at(comment_id)} | columns

    original.add(
        "comments",
        comment(1, PLAIN, BOB, like_count=9),
        comment(2, PLAIN, BOB, deleted_at=at(5)),
        comment(3, PLAIN, BOB, content="a\x00b\nc"),
        comment(4, NO_FILE, BOB),
        comment(5, PLAIN, GONE),
        comment(6, PLAIN, DELETED),
    )
    pairs = [(ALICE, 1), (ALICE, 1), (ALICE, 4), (GONE, 1), (ALICE, 2)]
    original.add(
        "user_favorite_comments",
        *({"user_id": user, "comment_id": comment} for user, comment in pairs),
    )


def add_actions(original: Original) -> None:
    likes = [(ALICE, PLAIN), (BOB, PLAIN), (BOB, PLAIN), (BOB, CHINESE), (BOB, VIDEO_DELETED)]
    likes += [(GONE, PLAIN), (DELETED, PLAIN), (BOB, 999)]
    original.add(
        "user_favorite_videos", *({"user_id": user, "video_id": video} for user, video in likes)
    )
    follows: list[tuple[int, int | None, dict[str, Any]]] = [
        (ALICE, BOB, {"created_at": at(1)}),
        (ALICE, BOB, {"created_at": at(3)}),
        (ALICE, BOB, {"created_at": at(2), "deleted_at": at(4)}),
        (ALICE, UPPER, {"created_at": at(1)}),
        (ALICE, SPACES, {"created_at": at(1)}),
        (ALICE, ALICE, {"created_at": at(1)}),
        (ALICE, GONE, {"created_at": at(1)}),
        (ALICE, None, {"created_at": at(1)}),
        (BOB, ALICE, {"created_at": None}),
        (BOB, UPPER, {"created_at": at(1), "deleted_at": at(2)}),
    ]
    original.add(
        "relations",
        *(
            {"id": number, "user_id": user, "to_user_id": target} | columns
            for number, (user, target, columns) in enumerate(follows, start=1)
        ),
    )


def add_messages(original: Original, pair: rsa.RSAPrivateKey) -> None:
    def encrypted(text: str) -> str:
        sealed = pair.public_key().encrypt(text.encode(), padding.PKCS1v15())
        return base64.b64encode(sealed).decode()

    messages: list[tuple[int, int, str, float]] = [
        (ALICE, BOB, encrypted("你好"), 1),
        (BOB, ALICE, encrypted("hello 😀"), 1),
        (ALICE, BOB, "before there was a key", 0.5),
        (ALICE, BOB, encrypted("cut")[:-20], 2),
        (ALICE, ALICE, encrypted("myself"), 1),
        (ALICE, GONE, encrypted("nobody"), 1),
        (UPPER, ALICE, encrypted("first"), 1),
    ]
    original.add(
        "messages",
        *(
            {
                "id": number,
                "from_user_id": sender,
                "to_user_id": receiver,
                "content": content,
                "created_at": at(minutes),
            }
            for number, (sender, receiver, content, minutes) in enumerate(messages, start=1)
        ),
    )
    gone = {"id": 8, "from_user_id": BOB, "to_user_id": ALICE, "content": encrypted("deleted")}
    original.add("messages", gone | {"created_at": at(9), "deleted_at": at(10)})


def write_pair(path: Path) -> rsa.RSAPrivateKey:
    """Make a pair as weak as the one that the original published, in its format."""
    pair = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505
    pem = pair.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    path.write_bytes(pem)
    return pair
