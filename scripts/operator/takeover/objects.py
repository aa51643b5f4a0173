"""Videos, covers and pictures: each gets a key under which nginx serves it as what it is.

The original put titles into keys, which no URL of ours carries, and called covers .png that are JPEGs. What nginx serves under its old key,
and as the right type, stays where it is; the rest is copied within the bucket, or all of it from another storage. Nothing is removed.
"""

import hashlib
import hmac
import re
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path

from pkg.media import HEAD_SIZE
from pkg.media.containers import Container, find_container
from pkg.storage import Bucket, object_path
from pkg.storage_copies import CopyingStorage
from scripts.operator.takeover.findings import Findings, Kind
from services.buckets import BUCKETS, VIDEO_COVERS_BUCKET, VIDEOS_BUCKET
from services.user.default_images import IMAGES_DIR

MP4, JPEG, PNG = "video/mp4", "image/jpeg", "image/png"
ENDINGS = {MP4: ".mp4", JPEG: ".jpg", PNG: ".png"}
SIGNATURES = {JPEG: b"\xff\xd8\xff", PNG: b"\x89PNG\r\n\x1a\n"}
MAX_KEY_CHARS = 255
DEFAULT_COVER = "default_background.jpg"

# As config/nginx/site.conf.template has it.
SERVED_KEY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?")
OUR_PNG = re.compile(r"[0-9a-f]{40}\.png")


def served_type(bucket: Bucket, key: str) -> str | None:
    """Return the type that nginx serves an object as, or None where it serves no such key."""
    if not SERVED_KEY.fullmatch(key) or len(key) > MAX_KEY_CHARS:
        return None
    if bucket is VIDEOS_BUCKET:
        return MP4
    if bucket is VIDEO_COVERS_BUCKET:
        return PNG if OUR_PNG.fullmatch(key) else JPEG
    return PNG if key.endswith(".png") else JPEG


def type_of(bucket: Bucket, start: bytes) -> str:
    """Return what an object is by its first bytes; of a video it is only known that it is one."""
    if bucket is VIDEOS_BUCKET:
        return MP4
    return PNG if start.startswith(SIGNATURES[PNG]) else JPEG


class Objects(ABC):
    """The files of the original.

    Attributes:
        moves_everything: whether none of them is where we serve files from.
    """

    moves_everything: bool

    @abstractmethod
    async def read_start(self, bucket: Bucket, key: str) -> bytes | None:
        """Return the first bytes of a file, or None where there is none."""

    @abstractmethod
    async def bring(self, bucket: Bucket, key: str, new_key: str, content_type: str) -> None:
        """Make the file an object of ours under another key; safe to repeat."""

    @abstractmethod
    async def prepare(self) -> None:
        """Make our buckets where they are missing, and store what stands for a cover that is missing."""


class SameStorage(Objects):
    """Ours holds them already."""

    moves_everything = False

    def __init__(self, storage: CopyingStorage) -> None:
        self._storage = storage

    async def read_start(self, bucket: Bucket, key: str) -> bytes | None:
        return await self._storage.read_start(bucket, key, HEAD_SIZE)

    async def bring(self, bucket: Bucket, key: str, new_key: str, content_type: str) -> None:
        await self._storage.copy(bucket, key, new_key, content_type)

    async def prepare(self) -> None:
        await self._storage.ensure_buckets(BUCKETS)
        await self._storage.put_file(
            VIDEO_COVERS_BUCKET, DEFAULT_COVER, IMAGES_DIR / DEFAULT_COVER, JPEG
        )


class OtherStorage(SameStorage):
    """They come from another storage, through this machine's disk."""

    moves_everything = True

    def __init__(self, storage: CopyingStorage, original: CopyingStorage) -> None:
        super().__init__(storage)
        self._original = original

    async def read_start(self, bucket: Bucket, key: str) -> bytes | None:
        return await self._original.read_start(bucket, key, HEAD_SIZE)

    async def bring(self, bucket: Bucket, key: str, new_key: str, content_type: str) -> None:
        with tempfile.TemporaryDirectory(prefix="takeover-") as folder:
            path = Path(folder) / "object"
            await self._original.get_file(bucket, key, path)
            await self._storage.put_file(bucket, new_key, path, content_type)


class ReadOnly(Objects):
    """For a dry run: looks, and copies nothing."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self.moves_everything = objects.moves_everything

    async def read_start(self, bucket: Bucket, key: str) -> bytes | None:
        return await self._objects.read_start(bucket, key)

    async def bring(self, bucket: Bucket, key: str, new_key: str, content_type: str) -> None:
        pass

    async def prepare(self) -> None:
        pass


class MediaFiles:
    """Gives every file the key under which it will be served.

    Args:
        objects: None: nobody looks at files; they are where their rows say.
        seed: makes the new keys, the same ones each time, which nobody can guess.
    """

    def __init__(self, objects: Objects | None, *, seed: str) -> None:
        self._objects = objects
        self._seed = seed.encode()
        # Thousands of accounts share a picture.
        self._pictures: dict[str, str | None] = {}

    async def keep_video(self, key: str, findings: Findings, what: str) -> str | None:
        """Return the key of a video, or None where there is no file."""
        return await self._keep(VIDEOS_BUCKET, key, findings, what)

    async def keep_cover(self, key: str, findings: Findings, what: str) -> str:
        """Return the key of a cover; a default one where there is no file."""
        kept = await self._keep(VIDEO_COVERS_BUCKET, key, findings, what)
        if kept is None:
            findings.add(Kind.COVER_MISSING, f"{what}: {key}")
        return kept or DEFAULT_COVER

    async def keep_picture(
        self, bucket: Bucket, key: str | None, findings: Findings, *, what: str, default: str
    ) -> str:
        """Return the key of an avatar or a background; `default` where there is no file."""
        key = (key or "").strip()
        if key in ("", default):
            return default
        path = object_path(bucket, key)
        if path not in self._pictures:
            self._pictures[path] = await self._keep(bucket, key, findings, what)
        kept = self._pictures[path]
        if kept is None:
            findings.add(Kind.PICTURE_MISSING, f"{what}: {path}")
        return kept or default

    async def _keep(self, bucket: Bucket, key: str, findings: Findings, what: str) -> str | None:
        if self._objects is None:
            if served_type(bucket, key) is None:
                findings.add(Kind.FILE_NOT_SERVED, f"{what}: {key}")
            return key[:MAX_KEY_CHARS]
        start = await self._objects.read_start(bucket, key) if key else None
        if start is None:
            return None
        if bucket is VIDEOS_BUCKET and find_container(start) is not Container.MP4:
            findings.add(Kind.FILE_IS_NO_MP4, f"{what}: {key}")
        real_type = type_of(bucket, start)
        if served_type(bucket, key) == real_type and not self._objects.moves_everything:
            return key
        findings.add(Kind.FILE_COPIED, f"{what}: {key}")
        new_key = self._make_key(bucket, key) + ENDINGS[real_type]
        await self._objects.bring(bucket, key, new_key, real_type)
        return new_key

    def _make_key(self, bucket: Bucket, key: str) -> str:
        path = object_path(bucket, key).encode()
        return hmac.new(self._seed, path, hashlib.sha256).hexdigest()[:40]
