"""Broken files and files that lie about what they are, refused with the real ffmpeg."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pkg.media import MediaTool, UnreadableVideo
from tests import media_samples as samples
from tests.pkg.media.samples import OTHER_HEADS
from tests.pkg.media.streamable import make_streamable

# Files whose container says how long they are.
DECLARING = (
    "front.mp4",
    "end.mp4",
    "end.mov",
    "fragments.mp4",
    "hevc.mp4",
    "h264.mkv",
    "vp8.webm",
    "browser.webm",
)


@pytest.mark.parametrize("name", DECLARING)
async def test_a_truncated_file_is_refused_wherever_it_ends(
    media: MediaTool, library: Path, tmp_path: Path, name: str
) -> None:
    source = library / name
    length = source.stat().st_size
    shares = (0.02, 0.3, 0.5, 0.9, 0.99)

    for size in [round(length * share) for share in shares] + [length - 100, length - 1]:
        broken = samples.cut(tmp_path / name, source, size=size)
        with pytest.raises(UnreadableVideo) as caught:
            await make_streamable(media, broken, tmp_path / "target.mp4")
        assert "损坏" in caught.value.reason, f"{size} of {length} bytes"


async def test_an_index_without_pictures_is_refused(
    media: MediaTool, library: Path, tmp_path: Path
) -> None:
    content = (library / "front.mp4").read_bytes()
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(content[: content.index(b"mdat") - 4])

    with pytest.raises(UnreadableVideo):
        await make_streamable(media, broken, tmp_path / "target.mp4")


@pytest.mark.parametrize("name", ["front.mp4", "hevc.mp4", "vp9.webm", "mpeg4.avi"])
async def test_garbage_inside_is_refused(
    media: MediaTool, library: Path, tmp_path: Path, name: str
) -> None:
    source = samples.spoil(tmp_path / name, library / name, begin=0.3, end=0.9)

    with pytest.raises(UnreadableVideo):
        await make_streamable(media, source, tmp_path / "target.mp4")


@pytest.mark.parametrize("name", OTHER_HEADS)
async def test_what_only_has_the_name_of_a_video_is_refused(
    media: MediaTool, tmp_path: Path, name: str
) -> None:
    source = tmp_path / "video.mp4"
    source.write_bytes(OTHER_HEADS[name])

    with pytest.raises(UnreadableVideo):
        await make_streamable(media, source, tmp_path / "target.mp4")


async def test_a_playlist_behind_the_head_of_a_video_opens_no_other_file(
    media: MediaTool, library: Path, tmp_path: Path
) -> None:
    source = tmp_path / "video.mp4"
    head = (library / "end.mp4").read_bytes()[:32]
    source.write_bytes(head + samples.HLS_PLAYLIST * 9)

    with pytest.raises(UnreadableVideo):
        await make_streamable(media, source, tmp_path / "target.mp4")


async def test_audio_alone_is_no_video(media: MediaTool, tmp_path: Path) -> None:
    source = samples.make_audio(tmp_path / "audio.mp4")

    with pytest.raises(UnreadableVideo, match="没有视频画面"):
        await make_streamable(media, source, tmp_path / "target.mp4")


async def test_a_cover_is_no_video(media: MediaTool, tmp_path: Path) -> None:
    cover = samples.make_picture(tmp_path / "cover.jpg")
    source = samples.make_audio_with_cover(tmp_path / "song.mp4", cover)

    with pytest.raises(UnreadableVideo, match="没有视频画面"):
        await make_streamable(media, source, tmp_path / "target.mp4")


@pytest.mark.parametrize("name", ["front.mp4", "browser.webm"])
async def test_a_long_video_is_refused_even_if_it_hides_its_length(
    make_media: Callable[..., MediaTool], library: Path, tmp_path: Path, name: str
) -> None:
    media = make_media(max_duration_s=0.5)

    with pytest.raises(UnreadableVideo, match="太长"):
        await make_streamable(media, library / name, tmp_path / "target.mp4")
