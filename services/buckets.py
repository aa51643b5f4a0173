"""The buckets of the product, with the names of the original."""

from pkg.storage import Bucket

# Uploads as they came; private.
VIDEO_UPLOADS_BUCKET = Bucket("tiktok-video-uploads", is_public=False)
VIDEOS_BUCKET = Bucket("tiktok-videos", is_public=True)
VIDEO_COVERS_BUCKET = Bucket("tiktok-video-covers", is_public=True)
USER_AVATARS_BUCKET = Bucket("tiktok-user-avatars", is_public=True)
USER_BACKGROUNDS_BUCKET = Bucket("tiktok-user-backgrounds", is_public=True)
BUCKETS = (
    VIDEO_UPLOADS_BUCKET,
    VIDEOS_BUCKET,
    VIDEO_COVERS_BUCKET,
    USER_AVATARS_BUCKET,
    USER_BACKGROUNDS_BUCKET,
)
