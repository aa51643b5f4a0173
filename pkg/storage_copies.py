"""Objects looked at and copied within a storage, by a server that does the work itself."""

import io
from dataclasses import replace
from typing import BinaryIO, cast

from minio.commonconfig import REPLACE, CopySource

from pkg.errors import DependencyRefused
from pkg.storage import PUBLIC_CACHE_CONTROL, Bucket, ObjectMissing, Storage


class CopyingStorage(Storage):
    """A storage whose settings give a call time for a copy of the largest object."""

    async def read_start(self, bucket: Bucket, key: str, length: int) -> bytes | None:
        """Return the first bytes of an object, fewer where it is shorter, or None where there is no such object."""
        sink = io.BytesIO()
        headers = {"Range": f"bytes=0-{length - 1}"}
        request = replace(
            self._request("GET", bucket, key), headers=headers, sink=cast(BinaryIO, sink)
        )
        try:
            await self._transfer(request)
        except ObjectMissing:
            await self._require_bucket(bucket)
            return None
        except DependencyRefused:
            # Of an empty object some servers refuse any range.
            if await self.find_size(bucket, key) == 0:
                return b""
            raise
        return sink.getvalue()

    async def copy(self, bucket: Bucket, key: str, new_key: str, content_type: str) -> None:
        """Make an object of the same content under another key of the bucket."""
        metadata: dict[str, str | list[str] | tuple[str]] = {"Content-Type": content_type}
        if bucket.is_public:
            metadata["Cache-Control"] = PUBLIC_CACHE_CONTROL

        def copy_object() -> None:
            self._minio.copy_object(
                bucket.name,
                new_key,
                CopySource(bucket.name, key),
                metadata=metadata,
                metadata_directive=REPLACE,
            )

        await self._ask_minio(copy_object)
