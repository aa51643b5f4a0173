"""The pictures of users who have none of their own; drawn for this project."""

from pathlib import Path

from dal.db.models import DEFAULT_AVATAR, DEFAULT_BACKGROUND
from pkg.storage import Storage
from services.buckets import USER_AVATARS_BUCKET, USER_BACKGROUNDS_BUCKET

IMAGES_DIR = Path(__file__).parent / "images"
# Phones keep a picture for a year: a new one needs a new name.
IMAGES = (
    (USER_AVATARS_BUCKET, DEFAULT_AVATAR, "image/png"),
    (USER_BACKGROUNDS_BUCKET, DEFAULT_BACKGROUND, "image/jpeg"),
)


async def ensure_default_images(storage: Storage) -> None:
    """Store the default pictures where they are missing; their buckets must exist."""
    for bucket, key, content_type in IMAGES:
        if not await storage.exists(bucket, key):
            await storage.put_file(bucket, key, IMAGES_DIR / key, content_type)
