"""Colours come out as they went in, whatever the metadata describe them with, in the video and in its cover."""

import json
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from pkg.media import MediaTool
from tests.media_samples import run_ffmpeg
from tests.pkg.media import colour_patches as patches
from tests.pkg.media.streamable import make_streamable

LIMITED_601 = "scale=out_color_matrix=bt601:out_range=tv,format=yuv420p"
FULL_601 = "scale=out_color_matrix=bt601:out_range=pc,format=yuvj420p"
LIMITED_709 = "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p"
FULL_709 = "scale=out_color_matrix=bt709:out_range=pc,format=yuvj420p"
TAGS_709 = "-colorspace bt709 -color_primaries bt709 -color_trc bt709"
TAGS_601 = "-colorspace smpte170m -color_primaries bt709 -color_trc bt709"
X264 = "-c:v libx264 -preset ultrafast -crf 4"
MPEG4 = "-c:v mpeg4 -q:v 1"
TALL = (320, 720)
# The ending chooses the container: only MP4 with H.264 is copied.
SDR: dict[str, tuple[str, str, str, tuple[int, int] | None]] = {
    "tagged BT.601, encoded": ("v.ts", LIMITED_601, f"{X264} {TAGS_601}", None),
    "tagged BT.709, encoded": ("v.ts", LIMITED_709, f"{X264} {TAGS_709}", None),
    "full range, encoded": ("v.ts", FULL_709, f"{X264} {TAGS_709} -color_range pc", None),
    "full range BT.601, encoded": ("v.ts", FULL_601, f"{X264} {TAGS_601} -color_range pc", None),
    "RGB": ("v.mov", "format=rgb24", "-c:v png", None),
    "untagged motion JPEG": ("v.mov", FULL_601, "-c:v mjpeg -q:v 1", None),
    "4:4:4": ("v.mp4", LIMITED_709.replace("420", "444"), f"{X264} {TAGS_709}", None),
    "tagged BT.709, copied": ("v.mp4", LIMITED_709, f"{X264} {TAGS_709}", None),
    "tagged BT.601, copied": ("v.mp4", LIMITED_601, f"{X264} {TAGS_601}", None),
    "full range, copied": ("v.mp4", FULL_709, f"{X264} {TAGS_709} -color_range pc", None),
    "untagged standard definition": ("v.avi", LIMITED_601, MPEG4, None),
    "untagged, as tall as NTSC": ("v.avi", LIMITED_601, MPEG4, (320, 480)),
    "untagged, as tall as PAL": ("v.avi", LIMITED_601, MPEG4, (320, 576)),
    "untagged high definition": ("v.avi", LIMITED_709, MPEG4, TALL),
}


def read_tags(path: Path) -> dict[str, str]:
    entries = "stream=pix_fmt,color_range,color_space,color_transfer,color_primaries"
    command = f"ffprobe -v error -select_streams v -show_entries {entries} -of json {path}"
    found = subprocess.run(command.split(), capture_output=True, check=True).stdout
    tags: dict[str, str] = json.loads(found)["streams"][0]
    return tags


def read_cover(path: Path) -> list[patches.RGB]:
    with Image.open(path) as cover:
        rgb = cover.convert("RGB")
        return patches.pick(lambda x, y: tuple(rgb.getpixel((x, y))))  # type: ignore[arg-type]


def read_first_pixel(path: Path) -> bytes:
    command = f"ffmpeg -v error -i {path} -frames:v 1 -f rawvideo -pix_fmt rgb24 -"
    return subprocess.run(command.split(), capture_output=True, check=True).stdout[:3]


def require_bt709(path: Path) -> None:
    assert read_tags(path) == {
        "pix_fmt": "yuv420p",
        "color_range": "tv",
        "color_space": "bt709",
        "color_transfer": "bt709",
        "color_primaries": "bt709",
    }


@pytest.mark.parametrize("name", SDR)
async def test_colours_are_kept_in_the_video_and_in_the_cover(
    media: MediaTool, tmp_path: Path, name: str
) -> None:
    file, filters, encoder, size = SDR[name]
    source = patches.make_sdr(tmp_path / file, filters=filters, encoder=encoder, size=size)
    target, cover = tmp_path / "target.mp4", tmp_path / "cover.jpg"

    await make_streamable(media, source, target)
    await media.make_cover(target, cover)

    if "copied" not in name:
        require_bt709(target)
        assert patches.largest_error(patches.read_video(target)) < 0.04
    assert patches.largest_error(read_cover(cover)) < 0.04


@pytest.mark.parametrize(
    # The library lets strong colours of HLG come out stronger; see colour.py.
    ("transfer", "tolerance"),
    [("smpte2084", 0.06), ("arib-std-b67", 0.22)],
)
async def test_hdr_becomes_bt709_of_the_same_colours(
    media: MediaTool, tmp_path: Path, transfer: str, tolerance: float
) -> None:
    source = patches.make_hdr(tmp_path / "hdr.mp4", transfer=transfer)
    target, cover = tmp_path / "target.mp4", tmp_path / "cover.jpg"

    await make_streamable(media, source, target)
    await media.make_cover(target, cover)

    require_bt709(target)
    for found in (patches.read_video(target), read_cover(cover)):
        assert patches.largest_error(found[:3]) < 0.05
        assert patches.largest_error(found) < tolerance


async def test_pure_colours_of_an_untagged_picture_stay_pure(
    media: MediaTool, tmp_path: Path
) -> None:
    source, target = tmp_path / "v.avi", tmp_path / "target.mp4"
    picture = f"color=blue:s=320x240:d=1,{LIMITED_601}"
    run_ffmpeg("-f", "lavfi", "-i", picture, *MPEG4.split(), str(source))

    await make_streamable(media, source, target)

    red, green, blue = read_first_pixel(target)
    assert max(red, green) < 8
    assert blue > 247
