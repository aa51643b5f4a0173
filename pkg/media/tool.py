"""Inspecting, converting and taking a picture of a video: the steps, each a decision and a process."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pkg.media import commands, plans, policy
from pkg.media.containers import HEAD_SIZE, Container, find_container, is_cut_short
from pkg.media.cover import choose_cover, read_impressions
from pkg.media.errors import (
    DAMAGED,
    NOT_A_VIDEO,
    TOO_EXPENSIVE,
    TookTooLong,
    UnreadableVideo,
)
from pkg.media.plans import Facts, Plan, Treatment
from pkg.media.probe import AudioStream, VideoInfo, parse_probe
from pkg.media.process import ProcessRunner
from pkg.media.progress import Progress
from pkg.media.refusals import find_refusal, require_not_encrypted
from pkg.media.scan import PacketReader, ParameterSetReader, Timeline
from pkg.media.settings import MediaSettings

TRIED_AUDIO_STREAMS = 8


class MediaTool:
    """Looks into videos and converts them with ffmpeg.

    At most `max_parallel` pictures are encoded at a time, and beside them as many of the other steps, so that a look
    into a small video does not wait for the conversion of a large one.
    """

    def __init__(self, settings: MediaSettings) -> None:
        self._settings = settings
        self._light, self._heavy = (
            ProcessRunner(max_memory_mb=settings.max_memory_mb, max_parallel=settings.max_parallel)
            for _ in range(2)
        )

    async def inspect(self, source: Path) -> Plan:
        """Look into a file without decoding its pictures, and return what has to be done to publish it.

        Raises:
            UnreadableVideo: the source is no video, or one that is not accepted; the reason says which.
            MediaToolFailed: the machine could not do it.
        """
        container = await asyncio.to_thread(_read_container, source)
        await asyncio.to_thread(_require_whole, source, container)
        info = await self._probe(source, container)
        self._require_accepted(info)
        packets = await self._read_packets(source, container)
        video = packets.timeline(info.index)
        info = replace(info, duration_s=info.duration_s or video.duration_s or None)
        self._require_accepted(info)
        await self._require_no_gap(source, container)
        info = replace(info, audio=await self._find_audio(source, info))
        facts = Facts(info, video, packets.timeline(info.audio.index) if info.audio else Timeline())
        if plans.may_be_copied(info, video):
            steady = await self._is_steady(source, container)
            facts = replace(facts, is_steady=steady)
        plan = plans.make_plan(facts, self._settings)
        plans.require_affordable(plan, max_cost_s=self._settings.max_cost_s)
        return plan

    async def convert(
        self,
        source: Path,
        target: Path,
        plan: Plan,
        on_progress: Callable[[float], None] | None = None,
    ) -> VideoInfo:
        """Write the video as an MP4 that plays while it loads; return what the target then is.

        What the app can play is copied without change, rotation included; the rest is encoded again, in the colours of
        BT.709. Neither keeps anything that players do not show. On an error a part of the target may exist.

        Args:
            plan: what `inspect` returned for this source, or `CopyFailed` offered.
            on_progress: told the share of the work that is done, from 0 to 1, never less than before.

        Raises:
            CopyFailed: the plan was a copy, and the source has to be encoded.
            UnreadableVideo: the source is damaged, too long or too expensive.
            MediaToolFailed: the machine could not do it.
        """
        progress = Progress(plan.duration_s, on_progress)
        await self._convert(source, target, plan, progress)
        result = await self._probe(target, Container.MP4)
        policy.require_allowed_duration(result, max_duration_s=self._settings.max_duration_s)
        policy.require_kept_duration(plan.info, result)
        if on_progress:
            on_progress(1.0)
        return result

    async def make_cover(self, video: Path, target: Path) -> None:
        """Write the first frame that shows something as a JPEG, upright, its longer side at most 1280 pixels.

        Where no frame of the first seconds does, it is the first one.

        Raises:
            UnreadableVideo: no frame could be decoded.
            MediaToolFailed: the machine could not do it.
        """
        container = await asyncio.to_thread(_read_container, video)
        info = await self._probe(video, container)
        first = await self._run_for_bytes(commands.cover_command(info, video, target, step=0))
        if not await asyncio.to_thread(_has_content, target):
            raise UnreadableVideo(DAMAGED, detail="no frame could be decoded")
        if any(impression.is_clear for impression in read_impressions(first)):
            return
        thumbnails = await self._run_for_bytes(commands.thumbnails_command(info, video))
        step = choose_cover(read_impressions(thumbnails))
        if step > 0:
            await self._run_for_bytes(commands.cover_command(info, video, target, step=step))

    async def _probe(self, path: Path, container: Container) -> VideoInfo:
        printed = await self._light.run(
            commands.probe_command(container, path), timeout_s=self._settings.probe_timeout_s
        )
        return parse_probe(printed.output, container)

    def _require_accepted(self, info: VideoInfo) -> None:
        policy.require_allowed_duration(info, max_duration_s=self._settings.max_duration_s)
        policy.require_decodable_picture(info, max_picture_mpx=self._settings.max_picture_mpx)

    async def _read_packets(self, source: Path, container: Container) -> PacketReader:
        packets = PacketReader()
        command = commands.packets_command(container, source)
        await self._light.run(command, timeout_s=self._settings.read_timeout_s, read=packets.feed)
        return packets

    async def _require_no_gap(self, source: Path, container: Container) -> None:
        if container not in policy.GAP_REPORTING_CONTAINERS:
            return
        command = commands.read_through_command(container, source)
        printed = await self._light.run(command, timeout_s=self._settings.read_timeout_s)
        policy.require_no_gap(printed.errors)

    async def _find_audio(self, source: Path, info: VideoInfo) -> AudioStream | None:
        """Return the first audio stream whose beginning can be decoded."""
        known = [stream for stream in info.audio_streams if stream.codec]
        for stream in known[:TRIED_AUDIO_STREAMS]:
            command = commands.try_audio_command(info.container, source, stream)
            try:
                samples = await self._run_for_bytes(command)
            except UnreadableVideo:
                continue
            if samples:
                return stream
        return None

    async def _is_steady(self, source: Path, container: Container) -> bool:
        """Tell whether an H.264 stream begins with a picture of its own and keeps its parameters."""
        sets = ParameterSetReader()
        command = commands.parameter_sets_command(container, source)
        try:
            await self._light.run(command, timeout_s=self._settings.read_timeout_s, read=sets.feed)
            first = await self._run_for_bytes(commands.first_idr_command(container, source))
        except UnreadableVideo:
            # Pictures that cannot be copied may still be decoded, with a few of them left out.
            return False
        return sets.is_constant() and bool(first)

    async def _convert(self, source: Path, target: Path, plan: Plan, progress: Progress) -> None:
        try:
            await self._run_plan(source, target, plan, progress)
        except UnreadableVideo as exc:
            if plan.video is not Treatment.COPY:
                raise
            # What cannot be copied after all may still be decoded.
            encoding = plans.plan_encoding(plan, self._settings)
            plans.require_affordable(encoding, max_cost_s=self._settings.max_cost_s)
            raise plans.CopyFailed(encoding) from exc

    async def _run_plan(self, source: Path, target: Path, plan: Plan, progress: Progress) -> None:
        settings = self._settings
        runner = self._light if plan.is_light else self._heavy
        try:
            await runner.run_watched(
                commands.conversion_command(plan, source, target),
                timeout_s=settings.read_timeout_s + settings.slowness_factor * plan.cost_s,
                stall_timeout_s=settings.stall_timeout_s,
                progress=progress,
            )
        except TookTooLong as exc:
            # It got on until the end of a generous limit: the same again would end there again.
            detail = f"{exc.detail}, {progress.share:.0%} done"
            raise UnreadableVideo(TOO_EXPENSIVE, detail=detail) from exc

    async def _run_for_bytes(self, command: list[str]) -> bytes:
        printed = bytearray()
        await self._light.run(
            command, timeout_s=self._settings.probe_timeout_s, read=printed.extend
        )
        return bytes(printed)


def _read_container(path: Path) -> Container:
    with path.open("rb") as file:
        head = file.read(HEAD_SIZE)
    container = find_container(head)
    if container is None:
        raise UnreadableVideo(find_refusal(head) or NOT_A_VIDEO, detail="no container known here")
    return container


def _require_whole(path: Path, container: Container) -> None:
    require_not_encrypted(path, container)
    if is_cut_short(path, container):
        raise UnreadableVideo(DAMAGED, detail="the file is shorter than its container says")


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0
