"""The steps that a worker takes with an upload, in one."""

from pathlib import Path

from pkg.media import MediaTool, VideoInfo


async def make_streamable(media: MediaTool, source: Path, target: Path) -> VideoInfo:
    """Inspect a video and convert it as planned."""
    return await media.convert(source, target, await media.inspect(source))
