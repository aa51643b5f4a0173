"""A storage as an operator looks at it: a few objects here and there, nothing changed."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from pkg.storage import Bucket, Storage


@dataclass(frozen=True)
class FoundObject:
    """One object, and when it was stored."""

    key: str
    stored_at: datetime


class SampledStorage(Storage):
    """A storage of which a part is looked at."""

    async def list_missing_buckets(self, buckets: Iterable[Bucket]) -> list[Bucket]:
        """Return those that the server does not have."""
        there = {
            bucket: await self._ask_minio(self._minio.bucket_exists, bucket.name)
            for bucket in buckets
        }
        return [bucket for bucket, exists in there.items() if not exists]

    async def list_some(self, bucket: Bucket, *, after: str, limit: int) -> list[FoundObject]:
        """Return the next objects of a bucket behind a key, in the order of their keys; fewer at the end of the bucket."""

        def list_objects() -> list[FoundObject]:
            # One request gets up to a thousand; the others of it are dropped.
            found = self._minio.list_objects(bucket.name, recursive=True, start_after=after)
            return [
                FoundObject(item.object_name, item.last_modified)
                for item in islice(found, limit)
                if item.object_name is not None and item.last_modified is not None
            ]

        return await self._ask_minio(list_objects)
