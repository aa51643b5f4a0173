"""The steps that a worker takes with an upload, in one."""

from pathlib import Path

from pkg.media import CopyFailed, MediaTool, VideoInfo


async def make_streamable(media: MediaTool, source: Path, target: Path) -> VideoInfo:
    """Inspect a video and convert it as planned, or, where a copy fails, as offered."""
    try:
        return await media.convert(source, target, await media.inspect(source))
    except CopyFailed as exc:
        return await media.convert(source, target, exc.encoding)
