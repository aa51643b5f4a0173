"""The objects that rows name, copied between the storage and a folder; an object never changes under its key."""

import asyncio
import mimetypes
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pkg.storage import Bucket, ObjectMissing, Storage
from scripts.operator.backup.manifest import BackupError
from scripts.operator.private_files import make_private_dir
from services.buckets import BUCKETS

NAME = "objects"
AT_ONCE = 4
TASKS_AT_ONCE = 100

T = TypeVar("T")


@dataclass(frozen=True)
class StoredObject:
    """One object, by its bucket and its key."""

    bucket: Bucket
    key: str

    @property
    def name(self) -> str:
        """How a person reads it."""
        return f"{self.bucket.name}/{self.key}"

    def path_in(self, folder: Path) -> Path:
        """Return where a backup keeps it.

        Raises:
            BackupError: the key leads out of the folder.
        """
        path = folder / NAME / self.bucket.name / self.key
        if ".." in Path(self.key).parts or Path(self.key).is_absolute():
            raise BackupError(f"a row names an object that cannot be saved: {self.name!r}")
        return path


async def save_objects(
    storage: Storage, folder: Path, objects: Iterable[StoredObject]
) -> AsyncIterator[tuple[StoredObject, Path | None]]:
    """Copy objects that are not in the folder yet; give each with its file, or None where the storage has no such object."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def save(item: StoredObject) -> tuple[StoredObject, Path | None]:
        async with slots:
            return item, await _save(storage, item, item.path_in(folder))

    for batch in _in_batches(list(dict.fromkeys(objects))):
        for saved in await asyncio.gather(*map(save, batch)):
            yield saved


async def _save(storage: Storage, item: StoredObject, path: Path) -> Path | None:
    if _is_saved(path):
        return path
    # A name of its own until it is whole, so that a backup that breaks off keeps nothing that is cut.
    part = path.with_name(f"{path.name}.part")
    try:
        await storage.get_file(item.bucket, item.key, part)
    except ObjectMissing:
        return None
    part.replace(path)
    return path


def _is_saved(path: Path) -> bool:
    make_private_dir(path.parent)
    return path.exists()


async def put_objects(storage: Storage, folder: Path, names: Iterable[str]) -> int:
    """Store those files of a backup that are objects, unless the storage has them; return how many they are."""
    await storage.ensure_buckets(BUCKETS)
    slots = asyncio.Semaphore(AT_ONCE)

    async def put(item: StoredObject) -> None:
        async with slots:
            path = item.path_in(folder)
            if await storage.find_size(item.bucket, item.key) != path.stat().st_size:
                kind = mimetypes.guess_type(item.key)[0] or "application/octet-stream"
                await storage.put_file(item.bucket, item.key, path, kind)

    objects = [
        StoredObject(bucket, name.removeprefix(f"{NAME}/{bucket.name}/"))
        for bucket in BUCKETS
        for name in names
        if name.startswith(f"{NAME}/{bucket.name}/")
    ]
    for batch in _in_batches(objects):
        await asyncio.gather(*map(put, batch))
    return len(objects)


def _in_batches(items: list[T]) -> Iterable[list[T]]:
    return (items[begin : begin + TASKS_AT_ONCE] for begin in range(0, len(items), TASKS_AT_ONCE))
