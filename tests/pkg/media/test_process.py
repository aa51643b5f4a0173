"""No ffmpeg takes more time, memory or company than it may, and none outlives whoever started it."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pkg.media import MediaSettings, MediaTool, MediaToolFailed, UnreadableVideo
from pkg.media.errors import TOO_EXPENSIVE
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
    return samples.make_video(path, size="1280x720", seconds=12, video="mpeg4")


async def test_what_gets_on_but_not_to_the_end_is_too_expensive_for_good(
    make_media: Callable[..., MediaTool], slow_video: Path, tmp_path: Path
) -> None:
    media = make_media(max_cost_s=1000)
    plan = replace(await media.inspect(slow_video), cost_s=0.001)
    hurried = make_media(read_timeout_s=0.5, slowness_factor=0.001)

    with pytest.raises(UnreadableVideo, match=r"over 0\.5") as caught:
        await hurried.convert(slow_video, tmp_path / "target.mp4", plan)

    assert caught.value.reason == TOO_EXPENSIVE
    assert list_processes_about(slow_video) == []


async def test_a_conversion_that_stands_still_is_killed_and_is_the_machines_fault(
    make_media: Callable[..., MediaTool], slow_video: Path, tmp_path: Path
) -> None:
    media, target = make_media(stall_timeout_s=1), tmp_path / "target.mp4"
    plan = await media.inspect(slow_video)
    job = asyncio.create_task(media.convert(slow_video, target, plan))
    await eventually(lambda: list_processes_about(target))

    os.kill(list_processes_about(target)[0], signal.SIGSTOP)

    with pytest.raises(MediaToolFailed, match="no progress for 1 s"):
        await job
    assert list_processes_about(target) == []


async def test_progress_rises_to_the_end(
    media: MediaTool, slow_video: Path, tmp_path: Path
) -> None:
    told: list[float] = []
    plan = await media.inspect(slow_video)

    await media.convert(slow_video, tmp_path / "target.mp4", plan, told.append)

    assert told == sorted(told)
    assert len(told) >= 3
    assert 0 < told[0] < 1
    assert told[-1] == 1


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


@pytest.mark.parametrize("name", ["vp8.webm", "front.mp4"])
async def test_at_most_max_parallel_processes_run(
    make_media: Callable[..., MediaTool], library: Path, tmp_path: Path, name: str
) -> None:
    media = make_media(max_parallel=1)
    plan = await media.inspect(library / name)
    jobs = asyncio.gather(
        *(media.convert(library / name, tmp_path / f"{n}.mp4", plan) for n in range(3))
    )
    most = 0
    while not jobs.done():
        most = max(most, len(list_processes_about(library / name)))
        await asyncio.wait({jobs}, timeout=0.005)

    await jobs
    assert most == 1


async def test_a_look_into_one_video_does_not_wait_for_the_conversion_of_another(
    make_media: Callable[..., MediaTool], slow_video: Path, library: Path, tmp_path: Path
) -> None:
    media, target = make_media(max_parallel=1), tmp_path / "slow.mp4"
    plan = await media.inspect(slow_video)
    job = asyncio.create_task(media.convert(slow_video, target, plan))
    await eventually(lambda: list_processes_about(target))

    await make_streamable(media, library / "front.mp4", tmp_path / "target.mp4")

    assert not job.done()
    job.cancel()
    await asyncio.wait([job])


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
