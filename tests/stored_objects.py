"""What object storage holds, read with the plain client."""

import asyncio

from minio import Minio

from pkg.storage import Bucket, StorageSettings


def open_client(settings: StorageSettings) -> Minio:
    """Return a client of the same account as the product's."""
    return Minio(
        f"{settings.host}:{settings.port}",
        access_key=settings.access_key.get_secret_value(),
        secret_key=settings.secret_key.get_secret_value(),
        secure=False,
        region=settings.region,
    )


class StoredObjects:
    """The objects of every bucket."""

    def __init__(self, settings: StorageSettings) -> None:
        self._client = open_client(settings)

    async def list_keys(self, bucket: Bucket) -> list[str]:
        """Return every key of a bucket."""

        def read() -> list[str]:
            found = self._client.list_objects(bucket.name, recursive=True)
            return [item.object_name for item in found if item.object_name]

        return await asyncio.to_thread(read)
