"""Probing, converting and taking a picture of a video: the steps, each a decision and a process."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from pkg.media import commands, policy
from pkg.media.containers import HEAD_SIZE, Container, find_container, is_cut_short
from pkg.media.errors import DAMAGED, NOT_A_VIDEO, UnreadableVideo
from pkg.media.policy import Plan, Treatment
from pkg.media.probe import VideoInfo, parse_probe
from pkg.media.process import ProcessRunner
from pkg.media.settings import MediaSettings


class MediaTool:
    """Looks into videos and converts them with ffmpeg, at most `max_parallel` processes at a time."""

    def __init__(self, settings: MediaSettings) -> None:
        self._settings = settings
        self._runner = ProcessRunner(
            max_memory_mb=settings.max_memory_mb, max_parallel=settings.max_parallel
        )

    async def inspect(self, source: Path) -> Plan:
        """Look into a file without decoding it, and return what has to be done to publish it.

        Raises:
            UnreadableVideo: the source is no video, or one that is not accepted; the reason says which.
            MediaToolFailed: the machine could not do it.
        """
        container = await asyncio.to_thread(_read_container, source)
        if await asyncio.to_thread(is_cut_short, source, container):
            raise UnreadableVideo(DAMAGED, detail="the file is shorter than its container says")
        info = await self._probe(source, container)
        policy.require_allowed_duration(info, max_duration_s=self._settings.max_duration_s)
        return policy.plan_streams(info)

    async def convert(
        self,
        source: Path,
        target: Path,
        plan: Plan,
        on_progress: Callable[[float], None] | None = None,
    ) -> VideoInfo:
        """Write the video as an MP4 that plays while it loads; return what the target then is.

        What the app can play is copied without change, rotation included; the rest is encoded again. Neither keeps
        where and with what it was filmed. On an error a part of the target may exist.

        Args:
            plan: what `inspect` returned for this source.
            on_progress: told the share of the work that is done, from 0 to 1, never less than before.

        Raises:
            UnreadableVideo: the source is damaged, too long or too expensive.
            MediaToolFailed: the machine could not do it.
        """
        await self._require_no_gap(source, plan.info.container)
        await self._convert(source, target, plan)
        result = await self._probe(target, Container.MP4)
        policy.require_allowed_duration(result, max_duration_s=self._settings.max_duration_s)
        policy.require_kept_duration(plan.info, result)
        if on_progress:
            on_progress(1.0)
        return result

    async def make_cover(self, video: Path, target: Path) -> None:
        """Write a frame of a converted video as a JPEG, upright, its longer side at most 1280 pixels.

        Raises:
            UnreadableVideo: no frame could be decoded.
            MediaToolFailed: the machine could not do it.
        """
        container = await asyncio.to_thread(_read_container, video)
        await self._runner.run(
            commands.cover_command(container, video, target),
            timeout_s=self._settings.probe_timeout_s,
        )
        if not await asyncio.to_thread(_has_content, target):
            raise UnreadableVideo(DAMAGED, detail="no frame could be decoded")

    async def _probe(self, path: Path, container: Container) -> VideoInfo:
        printed = await self._runner.run(
            commands.probe_command(container, path), timeout_s=self._settings.probe_timeout_s
        )
        return parse_probe(printed.output, container)

    async def _require_no_gap(self, source: Path, container: Container) -> None:
        if container not in policy.GAP_REPORTING_CONTAINERS:
            return
        printed = await self._runner.run(
            commands.read_through_command(container, source),
            timeout_s=self._settings.process_timeout_s,
        )
        policy.require_no_gap(printed.errors)

    async def _convert(self, source: Path, target: Path, plan: Plan) -> None:
        try:
            await self._run_plan(plan, source, target)
        except UnreadableVideo:
            # Pictures that cannot be copied may still be decoded, with a few of them left out.
            if plan.video is not Treatment.COPY:
                raise
            await self._run_plan(policy.plan_encoding(plan.info), source, target)

    async def _run_plan(self, plan: Plan, source: Path, target: Path) -> None:
        await self._runner.run(
            commands.conversion_command(plan, source, target),
            timeout_s=self._settings.process_timeout_s,
        )


def _read_container(path: Path) -> Container:
    with path.open("rb") as file:
        container = find_container(file.read(HEAD_SIZE))
    if container is None:
        raise UnreadableVideo(NOT_A_VIDEO, detail="no container that is known here")
    return container


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0
