"""No ffmpeg takes more time, memory or company than it may, and none outlives whoever started it."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pkg.media import MediaSettings, MediaTool, MediaToolFailed
from tests import media_samples as samples
from tests.eventually import eventually
from tests.pkg.media.streamable import make_streamable


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


def read_environment(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


@pytest.fixture(scope="module")
def slow_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video that takes seconds to encode again."""
    path = tmp_path_factory.mktemp("slow") / "slow.mp4"
    return samples.make_video(path, size="1280x720", seconds=20, video="mpeg4")


async def test_too_slow_is_the_machines_fault(
    make_media: Callable[..., MediaTool], slow_video: Path, tmp_path: Path
) -> None:
    media = make_media(process_timeout_s=0.5)

    with pytest.raises(MediaToolFailed, match=r"over 0\.5 s"):
        await make_streamable(media, slow_video, tmp_path / "target.mp4")

    assert list_processes_about(slow_video) == []


async def test_too_little_memory_is_the_machines_fault(
    make_media: Callable[..., MediaTool], slow_video: Path, tmp_path: Path
) -> None:
    media = make_media(max_memory_mb=250)

    with pytest.raises(MediaToolFailed):
        await make_streamable(media, slow_video, tmp_path / "target.mp4")


async def test_cancelling_kills_the_process(
    media: MediaTool, slow_video: Path, tmp_path: Path
) -> None:
    target = tmp_path / "target.mp4"
    job = asyncio.create_task(make_streamable(media, slow_video, target))
    await eventually(lambda: list_processes_about(target))

    job.cancel()

    with pytest.raises(asyncio.CancelledError):
        await job
    assert list_processes_about(target) == []


async def test_no_process_outlives_a_killed_service(
    media_settings: MediaSettings, slow_video: Path, tmp_path: Path
) -> None:
    target = tmp_path / "target.mp4"
    program = (
        "import asyncio, sys; from pathlib import Path; from pkg.media import MediaSettings, MediaTool;"
        "tool = MediaTool(MediaSettings.model_validate_json(sys.argv[1]));"
        f"source, target = Path({str(slow_video)!r}), Path({str(target)!r});"
        "plan = asyncio.run(tool.inspect(source)); asyncio.run(tool.convert(source, target, plan))"
    )
    service = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, media_settings.model_dump_json()
    )
    try:
        await eventually(lambda: set(list_processes_about(target)) - {service.pid})
    finally:
        service.kill()
        await service.wait()

    await eventually(lambda: not list_processes_about(target))


async def test_at_most_max_parallel_processes_run(
    make_media: Callable[..., MediaTool], library: Path, tmp_path: Path
) -> None:
    media = make_media(max_parallel=1)
    jobs = asyncio.gather(
        *(make_streamable(media, library / "vp8.webm", tmp_path / f"{n}.mp4") for n in range(3))
    )
    most = 0
    while not jobs.done():
        most = max(most, len(list_processes_about(library / "vp8.webm")))
        await asyncio.wait({jobs}, timeout=0.005)

    await jobs
    assert most == 1


async def test_secrets_of_the_service_are_not_handed_on(
    media: MediaTool, slow_video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOUSHENG_STORAGE__SECRET_KEY", "secret")
    target = tmp_path / "target.mp4"
    job = asyncio.create_task(make_streamable(media, slow_video, target))
    await eventually(lambda: list_processes_about(target))

    assert b"DOUSHENG" not in read_environment(list_processes_about(target)[0])
    job.cancel()
    await asyncio.wait([job])
