"""The storage: it answers and has every bucket, and its objects and the rows that name them fit together."""

import asyncio
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from dal.db.object_samples import (
    find_named_objects,
    list_expected_uploads,
    sample_published,
)
from pkg.storage import Bucket, object_path
from pkg.storage_samples import FoundObject, SampledStorage
from scripts.operator.doctor.answers import ask_all
from scripts.operator.doctor.finding import Finding
from scripts.operator.doctor.target import Target
from services.buckets import BUCKETS, VIDEO_COVERS_BUCKET, VIDEO_UPLOADS_BUCKET, VIDEOS_BUCKET

ROLE = "storage"
SAMPLE = 10
# An upload is stored before its row says so, and deleted after.
YOUNG = timedelta(hours=1)


async def look_at_server(target: Target) -> Sequence[Finding]:
    """The server answers with our account, and has our buckets."""
    settings = target.settings.storage
    missing: list[Bucket] = []

    async def ask(_address: str) -> None:
        async with SampledStorage(settings) as storage:
            missing.extend(await storage.list_missing_buckets(BUCKETS))

    await ask_all(target, ROLE, [f"{settings.host}:{settings.port}"], ask)
    if not missing:
        return []
    names = ", ".join(bucket.name for bucket in missing)
    command = target.place.look_into("video", f"{settings.host}:{settings.port}")
    return [Finding("buckets", "are missing", f"{names}: services make them at start", command)]


async def look_at_objects(target: Target) -> Sequence[Finding]:
    """Every published video of a sample has its file and cover; every object of a sample has a row."""
    settings = target.settings.storage
    async with SampledStorage(settings) as storage:
        lost, orphans = await asyncio.gather(
            _find_lost(target, storage), _find_orphans(target, storage)
        )
    command = target.place.look_into("video", f"{settings.host}:{settings.port}")
    findings = []
    if lost:
        evidence = f"{len(lost)} of a sample, such as {lost[0]}"
        restore = target.place.command("restore", "DIR", "--check")
        findings.append(Finding("objects that rows name", "are missing", evidence, restore))
    if orphans:
        evidence = f"{len(orphans)} of a sample, such as {orphans[0]}"
        findings.append(Finding("objects in the storage", "have no row", evidence, command))
    return findings


async def _find_lost(target: Target, storage: SampledStorage) -> list[str]:
    async with target.database.read_source() as connection:
        published = await sample_published(connection, SAMPLE)
    named = [
        (bucket, key)
        for play, cover in published
        for bucket, key in ((VIDEOS_BUCKET, play), (VIDEO_COVERS_BUCKET, cover))
    ]
    there = await asyncio.gather(*(storage.exists(bucket, key) for bucket, key in named))
    return [
        object_path(bucket, key)
        for (bucket, key), exists in zip(named, there, strict=True)
        if not exists
    ]


async def _sample_objects(storage: SampledStorage, bucket: Bucket) -> list[FoundObject]:
    """Return neighbours in the order of keys, which are random; at the end of the bucket it goes on at the beginning."""
    found = await storage.list_some(bucket, after=secrets.token_hex(4), limit=SAMPLE)
    if len(found) < SAMPLE:
        found += await storage.list_some(bucket, after="", limit=SAMPLE - len(found))
    return found


async def _find_orphans(target: Target, storage: SampledStorage) -> list[str]:
    young = datetime.now(UTC) - YOUNG
    buckets = (VIDEO_UPLOADS_BUCKET, VIDEOS_BUCKET, VIDEO_COVERS_BUCKET)
    found = await asyncio.gather(*(_sample_objects(storage, bucket) for bucket in buckets))
    old = {
        (bucket, item.key)
        for bucket, items in zip(buckets, found, strict=True)
        for item in items
        if item.stored_at < young
    }
    if not old:
        return []
    async with target.database.read_source() as connection:
        named = await find_named_objects(connection, [key for _, key in old])
        named |= await list_expected_uploads(connection)
    return sorted(object_path(bucket, key) for bucket, key in old if key not in named)
