"""The cover is the first frame that shows something, upright and of a size that phones load quickly."""

from pathlib import Path

import pytest
from PIL import Image, ImageStat

from pkg.media import MediaTool, UnreadableVideo
from pkg.media.cover import Impression, choose_cover
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


def read_brightness(path: Path) -> float:
    with Image.open(path) as cover:
        return float(ImageStat.Stat(cover.convert("L")).mean[0])


@pytest.mark.parametrize("colour", ["black", "white"])
async def test_the_cover_of_a_video_that_fades_in_shows_something(
    media: MediaTool, tmp_path: Path, colour: str
) -> None:
    video = make_fading_video(tmp_path / "video.mp4", colour)

    await media.make_cover(video, tmp_path / "cover.jpg")

    assert 45 < read_brightness(tmp_path / "cover.jpg") < 200


async def test_a_first_frame_that_shows_something_is_the_cover(
    media: MediaTool, tmp_path: Path
) -> None:
    video = tmp_path / "video.mp4"
    # A blue picture for a moment, then a red one.
    samples.run_ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=0.2,lutrgb=r=0"),
        *("-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=2,lutrgb=b=0"),
        *("-filter_complex", "[0][1]concat=n=2", "-pix_fmt", "yuv420p", str(video)),
    )

    await media.make_cover(video, tmp_path / "cover.jpg")

    with Image.open(tmp_path / "cover.jpg") as cover:
        red, _, blue = ImageStat.Stat(cover.convert("RGB")).mean
    assert blue > 4 * red


async def test_where_nothing_is_shown_the_first_frame_is_the_cover(
    media: MediaTool, tmp_path: Path
) -> None:
    video = tmp_path / "video.mp4"
    samples.run_ffmpeg(
        *["-f", "lavfi", "-i", "color=c=black:s=320x240:r=25:d=1", "-pix_fmt", "yuv420p"],
        str(video),
    )

    await media.make_cover(video, tmp_path / "cover.jpg")

    assert read_brightness(tmp_path / "cover.jpg") < 5


def make_fading_video(path: Path, colour: str) -> Path:
    """Make two seconds of which the first fades in."""
    samples.run_ffmpeg(
        *("-f", "lavfi", "-i", f"testsrc2=s=320x240:r=25:d=2,fade=in:0:25:color={colour}"),
        *("-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast", str(path)),
    )
    return path


@pytest.mark.parametrize(
    ("impressions", "chosen"),
    [
        ([], 0),
        ([(5, 1), (6, 2)], 0),
        ([(5, 1), (60, 31), (120, 60)], 1),
        ([(90, 40), (120, 60)], 0),
        ([(2, 0), (20, 8), (25, 12), (24, 9)], 2),
        ([(250, 3), (200, 31)], 1),
    ],
)
def test_the_first_clear_frame_is_chosen_else_the_one_of_most_contrast(
    impressions: list[tuple[float, float]], chosen: int
) -> None:
    assert choose_cover([Impression(*pair) for pair in impressions]) == chosen
