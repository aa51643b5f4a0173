"""pkg.media on real files, with the real ffmpeg: good ones, broken ones, and ones that lie about what they are."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from pkg.containers import HEAD_SIZE
from pkg.media import MediaSettings, MediaTool, MediaToolFailed, UnreadableVideo, looks_like_video
from pkg.settings import DEFAULT_CONFIG_DIR, read_section
from tests import media_samples as samples

SETTINGS = MediaSettings(**read_section(DEFAULT_CONFIG_DIR, "media"))
H264 = "libx264 -preset ultrafast -pix_fmt yuv420p"
# What people's phones, cameras and programs write: name, encoder of the film, of the sound, muxer's options.
KINDS = {
    "front.mp4": (H264, "aac", "-movflags +faststart"),
    "end.mp4": (H264, "aac", ""),
    "end.mov": (H264, "aac", ""),
    "fragments.mp4": (H264 + " -g 5", "aac", "-movflags frag_keyframe+empty_moov"),
    "mp3.mp4": (H264, "libmp3lame", ""),
    "silent.mp4": (H264, None, ""),
    "full-range.mp4": ("libx264 -preset ultrafast -pix_fmt yuvj420p", "aac", ""),
    "many-colours.mp4": ("libx264 -preset ultrafast -pix_fmt yuv444p", "aac", ""),
    "hevc.mp4": ("libx265 -preset ultrafast -pix_fmt yuv420p10le -tag:v hvc1", "aac", ""),
    "mpeg4.mp4": ("mpeg4", "aac", ""),
    "old-phone.3gp": ("h263 -s 352x288", "aac", ""),
    "camera.mov": ("mjpeg", "pcm_s16le", ""),
    "h264.mkv": (H264, "aac", ""),
    "vp8.webm": ("libvpx -deadline realtime", "libopus", ""),
    "vp9.webm": ("libvpx-vp9 -deadline realtime -cpu-used 8", "libopus", ""),
    "browser.webm": ("libvpx -deadline realtime -f webm -live 1", "libopus", ""),
    "mpeg4.avi": ("mpeg4", "libmp3lame", ""),
    "flash.flv": ("flv", "libmp3lame -ar 44100", ""),
    "broadcast.ts": (H264, "aac", ""),
    "mpeg2.mpg": ("mpeg2video", "mp2", ""),
}
COPIED = ("front.mp4", "end.mp4", "end.mov", "fragments.mp4", "mp3.mp4", "silent.mp4", "h264.mkv")
DECLARING = ("front.mp4", "end.mp4", "end.mov", "fragments.mp4", "hevc.mp4", "h264.mkv")
DECLARING_TOO = ("vp8.webm", "browser.webm")
# How files begin that are no videos.
OTHER_HEADS = {
    "empty": b"",
    "text": b"hello, this is not a video at all, but it is long enough to look at" * 9,
    "html": b"<!DOCTYPE html><html><body>mdat moov ftyp</body></html>" * 9,
    "playlist": samples.HLS_PLAYLIST,
    "concat list": b"ffconcat version 1.0\nfile /etc/passwd\n" * 9,
    "png": b"\x89PNG\r\n\x1a\n" + bytes(600),
    "jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(600),
    "gif": b"GIF89a" + bytes(600),
    "webp": b"RIFF\x00\x10\x00\x00WEBPVP8 " + bytes(600),
    "wav": b"RIFF\x00\x10\x00\x00WAVEfmt " + bytes(600),
    "zip": b"PK\x03\x04" + bytes(600),
    "mp3": b"ID3\x04\x00\x00\x00\x00\x00\x00" + bytes(600),
    "heic": b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(600),
    "avif": b"\x00\x00\x00\x18ftypavif\x00\x00\x00\x00avifmif1" + bytes(600),
    "m4a": b"\x00\x00\x00\x18ftypM4A \x00\x00\x00\x00M4A isom" + bytes(600),
    "flv with sound alone": b"FLV\x01\x04\x00\x00\x00\x09" + bytes(600),
}


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one file of every kind."""
    folder = tmp_path_factory.mktemp("videos")
    for name, (video, audio, options) in KINDS.items():
        samples.make_video(folder / name, video=video, audio=audio, options=options)
    return folder


@pytest.fixture
def media() -> MediaTool:
    return MediaTool(SETTINGS)


def make_media(**changes: float) -> MediaTool:
    return MediaTool(SETTINGS.model_copy(update=changes))


def hash_film(path: Path) -> str:
    """Return a hash of the compressed pictures alone."""
    command = f"ffmpeg -v error -i {path} -map 0:v:0 -c copy -bsf:v h264_mp4toannexb -f md5 -"
    return subprocess.run(command.split(), capture_output=True, text=True, check=True).stdout


def list_processes_about(path: Path) -> list[int]:
    """Return the ids of all processes whose command line names the file."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(str(path).encode() in argument for argument in arguments[1:]):
            found.append(int(folder.name))
    return found


async def wait_for(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


async def wait_for_start(target: Path) -> None:
    await wait_for(lambda: bool(list_processes_about(target)))


def read_environment(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


class TestFirstBytes:
    @pytest.mark.parametrize("name", KINDS)
    def test_every_kind_of_video_is_let_in(self, library: Path, name: str) -> None:
        assert looks_like_video((library / name).read_bytes()[:HEAD_SIZE])

    @pytest.mark.parametrize("name", OTHER_HEADS)
    def test_what_is_no_video_is_refused(self, name: str) -> None:
        assert not looks_like_video(OTHER_HEADS[name])

    def test_a_recording_without_a_type_box_is_let_in(self, library: Path) -> None:
        content = (library / "end.mov").read_bytes()

        assert looks_like_video(content[int.from_bytes(content[:4]) :][:HEAD_SIZE])


class TestStreamable:
    @pytest.mark.parametrize("name", KINDS)
    async def test_every_kind_becomes_an_mp4_that_the_app_plays(
        self, media: MediaTool, library: Path, tmp_path: Path, name: str
    ) -> None:
        target = tmp_path / "target.mp4"

        info = await media.make_streamable(library / name, target)

        assert (info.container, info.video_codec) == ("mov", "h264")
        assert info.pixel_format in ("yuv420p", "yuvj420p")
        assert info.audio_codec == ({"silent.mp4": None, "mp3.mp4": "mp3"}.get(name, "aac"))
        assert info.duration_s == pytest.approx(1, abs=0.15)
        content = target.read_bytes()
        assert content.index(b"moov") < content.index(b"mdat")

    @pytest.mark.parametrize("name", COPIED)
    async def test_what_the_app_plays_already_keeps_its_pictures(
        self, media: MediaTool, library: Path, tmp_path: Path, name: str
    ) -> None:
        await media.make_streamable(library / name, tmp_path / "target.mp4")

        assert hash_film(tmp_path / "target.mp4") == hash_film(library / name)

    async def test_a_copy_keeps_its_rotation(
        self, media: MediaTool, library: Path, tmp_path: Path
    ) -> None:
        source = samples.make_rotated_video(
            tmp_path / "source.mp4", library / "front.mp4", degrees=90
        )

        info = await media.make_streamable(source, tmp_path / "target.mp4")

        assert (info.width, info.height, abs(info.rotation)) == (320, 240, 90)

    async def test_a_rotated_film_is_upright_when_it_is_encoded_again(
        self, media: MediaTool, library: Path, tmp_path: Path
    ) -> None:
        source = samples.make_rotated_video(
            tmp_path / "source.mp4", library / "mpeg4.mp4", degrees=90
        )

        info = await media.make_streamable(source, tmp_path / "target.mp4")

        assert (info.width, info.height, info.rotation) == (240, 320, 0)

    async def test_odd_sides_become_even(self, media: MediaTool, tmp_path: Path) -> None:
        source = samples.make_video(
            tmp_path / "odd.webm", size="161x121", video="libvpx -deadline realtime", audio=None
        )

        info = await media.make_streamable(source, tmp_path / "target.mp4")

        assert (info.width, info.height) == (160, 120)

    async def test_a_huge_film_is_shrunk_within_the_memory_limit(
        self, media: MediaTool, tmp_path: Path
    ) -> None:
        source = samples.make_video(
            tmp_path / "huge.mp4",
            size="2160x3840",
            seconds=0.4,
            video="libx265 -preset ultrafast -pix_fmt yuv420p10le",
        )

        info = await media.make_streamable(source, tmp_path / "target.mp4")

        assert (info.width, info.height) == (1080, 1920)

    async def test_place_phone_and_title_are_left_out(
        self, media: MediaTool, library: Path, tmp_path: Path
    ) -> None:
        source = samples.make_located_video(tmp_path / "source.mp4", library / "front.mp4")
        assert b"+31.2304" in source.read_bytes()

        await media.make_streamable(source, tmp_path / "target.mp4")

        content = (tmp_path / "target.mp4").read_bytes()
        assert not any(word in content for word in (b"+31.2304", b"PhoneMaker", b"private title"))

    async def test_a_few_broken_pictures_do_not_cost_the_video(
        self, media: MediaTool, library: Path, tmp_path: Path
    ) -> None:
        source = samples.spoil(tmp_path / "spoilt.mp4", library / "end.mp4", begin=0.6, end=0.601)

        info = await media.make_streamable(source, tmp_path / "target.mp4")

        assert info.duration_s == pytest.approx(1, abs=0.15)

    async def test_45_mb_take_seconds(self, media: MediaTool, tmp_path: Path) -> None:
        source = samples.make_video_of_size(tmp_path / "source.mp4", size_mb=45)

        begin = time.monotonic()
        await media.make_streamable(source, tmp_path / "target.mp4")
        await media.first_frame(tmp_path / "target.mp4", tmp_path / "cover.jpg")

        print(f"45 MB processed in {time.monotonic() - begin:.2f} s")
        assert source.stat().st_size == 45_000_000


class TestRefused:
    @pytest.mark.parametrize("name", [*DECLARING, *DECLARING_TOO])
    async def test_a_truncated_file_is_refused_wherever_it_ends(
        self, media: MediaTool, library: Path, tmp_path: Path, name: str
    ) -> None:
        source = library / name
        length = source.stat().st_size
        shares = (0.02, 0.3, 0.5, 0.9, 0.99)

        for size in [round(length * share) for share in shares] + [length - 100, length - 1]:
            broken = samples.cut(tmp_path / name, source, size=size)
            with pytest.raises(UnreadableVideo) as caught:
                await media.make_streamable(broken, tmp_path / "target.mp4")
            assert "损坏" in caught.value.reason, f"{size} of {length} bytes"

    async def test_an_index_without_pictures_is_refused(
        self, media: MediaTool, library: Path, tmp_path: Path
    ) -> None:
        content = (library / "front.mp4").read_bytes()
        broken = tmp_path / "broken.mp4"
        broken.write_bytes(content[: content.index(b"mdat") - 4])

        with pytest.raises(UnreadableVideo):
            await media.make_streamable(broken, tmp_path / "target.mp4")

    @pytest.mark.parametrize("name", ["front.mp4", "hevc.mp4", "vp9.webm", "mpeg4.avi"])
    async def test_garbage_inside_is_refused(
        self, media: MediaTool, library: Path, tmp_path: Path, name: str
    ) -> None:
        source = samples.spoil(tmp_path / name, library / name, begin=0.3, end=0.9)

        with pytest.raises(UnreadableVideo):
            await media.make_streamable(source, tmp_path / "target.mp4")

    @pytest.mark.parametrize("name", OTHER_HEADS)
    async def test_what_only_has_the_name_of_a_video_is_refused(
        self, media: MediaTool, tmp_path: Path, name: str
    ) -> None:
        source = tmp_path / "video.mp4"
        source.write_bytes(OTHER_HEADS[name])

        with pytest.raises(UnreadableVideo):
            await media.make_streamable(source, tmp_path / "target.mp4")

    async def test_a_playlist_behind_the_head_of_a_video_opens_no_other_file(
        self, media: MediaTool, library: Path, tmp_path: Path
    ) -> None:
        source = tmp_path / "video.mp4"
        head = (library / "end.mp4").read_bytes()[:32]
        source.write_bytes(head + samples.HLS_PLAYLIST * 9)

        with pytest.raises(UnreadableVideo):
            await media.make_streamable(source, tmp_path / "target.mp4")

    async def test_sound_alone_is_no_video(self, media: MediaTool, tmp_path: Path) -> None:
        source = samples.make_sound(tmp_path / "sound.mp4")

        with pytest.raises(UnreadableVideo, match="没有视频画面"):
            await media.make_streamable(source, tmp_path / "target.mp4")

    async def test_a_cover_is_no_video(self, media: MediaTool, tmp_path: Path) -> None:
        cover = samples.make_picture(tmp_path / "cover.jpg")
        source = samples.make_sound_with_cover(tmp_path / "song.mp4", cover)

        with pytest.raises(UnreadableVideo, match="没有视频画面"):
            await media.make_streamable(source, tmp_path / "target.mp4")

    @pytest.mark.parametrize("name", ["front.mp4", "browser.webm"])
    async def test_a_long_video_is_refused_even_if_it_hides_its_length(
        self, library: Path, tmp_path: Path, name: str
    ) -> None:
        media = make_media(max_duration_s=0.5)

        with pytest.raises(UnreadableVideo, match="太长"):
            await media.make_streamable(library / name, tmp_path / "target.mp4")


class TestCover:
    async def test_the_cover_has_the_size_of_the_picture(
        self, media: MediaTool, library: Path, tmp_path: Path
    ) -> None:
        await media.first_frame(library / "front.mp4", tmp_path / "cover.jpg")

        with Image.open(tmp_path / "cover.jpg") as cover:
            assert (cover.format, cover.size) == ("JPEG", (320, 240))

    async def test_the_cover_is_upright_and_at_most_1280_long(
        self, media: MediaTool, tmp_path: Path
    ) -> None:
        film = samples.make_video(tmp_path / "film.mp4", size="2560x1440", seconds=0.2)
        source = samples.make_rotated_video(tmp_path / "source.mp4", film, degrees=90)

        await media.first_frame(source, tmp_path / "cover.jpg")

        with Image.open(tmp_path / "cover.jpg") as cover:
            assert cover.size == (720, 1280)

    async def test_pictures_that_cannot_be_decoded_give_no_cover(
        self, media: MediaTool, library: Path, tmp_path: Path
    ) -> None:
        source = samples.spoil(tmp_path / "spoilt.mp4", library / "hevc.mp4", begin=0.01, end=0.9)

        with pytest.raises(UnreadableVideo):
            await media.first_frame(source, tmp_path / "cover.jpg")


class TestLimits:
    @pytest.fixture(scope="class")
    @staticmethod
    def slow_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
        """A film that takes seconds to encode again."""
        path = tmp_path_factory.mktemp("slow") / "slow.mp4"
        return samples.make_video(path, size="1280x720", seconds=20, video="mpeg4")

    async def test_too_slow_is_the_machines_fault(self, slow_film: Path, tmp_path: Path) -> None:
        media = make_media(process_timeout_s=0.5)

        with pytest.raises(MediaToolFailed, match=r"over 0\.5 s"):
            await media.make_streamable(slow_film, tmp_path / "target.mp4")

        assert list_processes_about(slow_film) == []

    async def test_too_little_memory_is_the_machines_fault(
        self, slow_film: Path, tmp_path: Path
    ) -> None:
        media = make_media(max_memory_mb=250)

        with pytest.raises(MediaToolFailed):
            await media.make_streamable(slow_film, tmp_path / "target.mp4")

    async def test_cancelling_kills_the_process(
        self, media: MediaTool, slow_film: Path, tmp_path: Path
    ) -> None:
        target = tmp_path / "target.mp4"
        job = asyncio.create_task(media.make_streamable(slow_film, target))
        await wait_for_start(target)

        job.cancel()

        with pytest.raises(asyncio.CancelledError):
            await job
        assert list_processes_about(target) == []

    async def test_no_process_outlives_a_killed_service(
        self, slow_film: Path, tmp_path: Path
    ) -> None:
        target = tmp_path / "target.mp4"
        program = (
            "import asyncio, sys; from pathlib import Path; from pkg.media import MediaTool;"
            "from pkg.settings import MediaSettings;"
            "tool = MediaTool(MediaSettings.model_validate_json(sys.argv[1]));"
            f"asyncio.run(tool.make_streamable(Path({str(slow_film)!r}), Path({str(target)!r})))"
        )
        service = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, SETTINGS.model_dump_json()
        )
        try:
            await wait_for(lambda: bool(set(list_processes_about(target)) - {service.pid}))
        finally:
            service.kill()
            await service.wait()

        await wait_for(lambda: not list_processes_about(target))

    async def test_at_most_max_parallel_processes_run(self, library: Path, tmp_path: Path) -> None:
        media = make_media(max_parallel=1)
        jobs = asyncio.gather(
            *(media.make_streamable(library / "vp8.webm", tmp_path / f"{n}.mp4") for n in range(3))
        )
        most = 0
        while not jobs.done():
            most = max(most, len(list_processes_about(library / "vp8.webm")))
            await asyncio.sleep(0.005)

        await jobs
        assert most == 1

    async def test_secrets_of_the_service_are_not_handed_on(
        self, media: MediaTool, slow_film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DOUSHENG_STORAGE__SECRET_KEY", "secret")
        target = tmp_path / "target.mp4"
        job = asyncio.create_task(media.make_streamable(slow_film, target))
        await wait_for_start(target)

        assert b"DOUSHENG" not in read_environment(list_processes_about(target)[0])
        job.cancel()
        await asyncio.wait([job])
