"""The cover is the first frame, upright and of a size that phones load quickly."""

from pathlib import Path

import pytest
from PIL import Image

from pkg.media import MediaTool, UnreadableVideo
from tests import media_samples as samples


async def test_the_cover_has_the_size_of_the_picture(
    media: MediaTool, library: Path, tmp_path: Path
) -> None:
    await media.make_cover(library / "front.mp4", tmp_path / "cover.jpg")

    with Image.open(tmp_path / "cover.jpg") as cover:
        assert (cover.format, cover.size) == ("JPEG", (320, 240))


async def test_the_cover_is_upright_and_at_most_1280_long(media: MediaTool, tmp_path: Path) -> None:
    video = samples.make_video(tmp_path / "video.mp4", size="2560x1440", seconds=0.2)
    source = samples.make_rotated_video(tmp_path / "source.mp4", video, degrees=90)

    await media.make_cover(source, tmp_path / "cover.jpg")

    with Image.open(tmp_path / "cover.jpg") as cover:
        assert cover.size == (720, 1280)


async def test_pictures_that_cannot_be_decoded_give_no_cover(
    media: MediaTool, library: Path, tmp_path: Path
) -> None:
    source = samples.spoil(tmp_path / "spoilt.mp4", library / "hevc.mp4", begin=0.01, end=0.9)

    with pytest.raises(UnreadableVideo):
        await media.make_cover(source, tmp_path / "cover.jpg")
