"""Rules that hold for every command line, without running one."""

from itertools import pairwise
from pathlib import Path

import pytest

from pkg.media import Container, Plan, VideoInfo
from pkg.media.commands import (
    conversion_command,
    cover_command,
    first_idr_command,
    packets_command,
    parameter_sets_command,
    probe_command,
    read_through_command,
    thumbnails_command,
    try_audio_command,
)
from pkg.media.plans import Treatment
from pkg.media.probe import AudioStream

PHONE_VIDEO = VideoInfo(
    container=Container.MATROSKA,
    video_codec="h264",
    pixel_format="yuv420p",
    width=1080,
    height=1920,
    rotation=90,
    audio=AudioStream(index=1, codec="aac"),
    duration_s=10.0,
)
SOURCE = Path("/spool/-i concat:a|b.mp4")
TARGET = Path("/spool/target.mp4")
PLANS = [
    Plan(PHONE_VIDEO, video, audio, cost_s=1)
    for video in (Treatment.COPY, Treatment.ENCODE)
    for audio in Treatment
]
CONVERSIONS = {
    f"{plan.video.name} {plan.audio.name}": conversion_command(plan, SOURCE, TARGET)
    for plan in PLANS
}
COMMANDS = {
    "probe": probe_command(Container.MATROSKA, SOURCE),
    "read through": read_through_command(Container.MATROSKA, SOURCE),
    "cover": cover_command(PHONE_VIDEO, SOURCE, TARGET, step=0),
    "thumbnails": thumbnails_command(PHONE_VIDEO, SOURCE),
    "packets": packets_command(Container.MATROSKA, SOURCE),
    "first picture": first_idr_command(Container.MATROSKA, SOURCE),
    "parameter sets": parameter_sets_command(Container.MATROSKA, SOURCE),
    "try audio": try_audio_command(Container.MATROSKA, SOURCE, AudioStream(index=1, codec="aac")),
    **CONVERSIONS,
}


def option(command: list[str], name: str) -> str | None:
    """Return the value of an option; None where it is not given."""
    return next((value for word, value in pairwise(command) if word == name), None)


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_file_is_opened_with_its_own_demuxer_and_opens_no_other(command: list[str]) -> None:
    before_input = command[: command.index("-i")]

    assert option(before_input, "-f") == "matroska"
    assert option(before_input, "-protocol_whitelist") == "file,pipe"
    assert option(command, "-i") == f"file:{SOURCE}"
    assert command.count("-i") == 1


@pytest.mark.parametrize("command", CONVERSIONS.values(), ids=CONVERSIONS)
def test_the_output_says_nothing_of_place_or_program_and_plays_while_it_loads(
    command: list[str],
) -> None:
    assert option(command, "-map_metadata") == "-1"
    assert option(command, "-fflags") == "+bitexact"
    assert option(command, "-movflags") == "+faststart"
    assert f"file:{TARGET}" in command


@pytest.mark.parametrize("plan", PLANS, ids=CONVERSIONS)
def test_each_stream_is_treated_as_planned(plan: Plan) -> None:
    command = conversion_command(plan, SOURCE, TARGET)

    video = {Treatment.COPY: "copy", Treatment.ENCODE: "libx264"}[plan.video]
    audio = {Treatment.COPY: "copy", Treatment.ENCODE: "aac", Treatment.DROP: None}[plan.audio]
    assert option(command, "-c:v") == video
    assert option(command, "-c:a") == audio
    assert ("-an" in command) == (plan.audio is Treatment.DROP)


@pytest.mark.parametrize(
    "name", [name for name in COMMANDS if "ENCODE " in name] + ["cover", "thumbnails"]
)
def test_who_decodes_refuses_pictures_that_fill_the_memory(name: str) -> None:
    command = COMMANDS[name]

    assert option(command[: command.index("-i")], "-max_pixels") == str(8192 * 8192)


@pytest.mark.parametrize(
    "name",
    [
        "read through",
        "parameter sets",
        "first picture",
        *(n for n in CONVERSIONS if "COPY " in n[:5]),
    ],
)
def test_who_copies_stops_at_the_first_error(name: str) -> None:
    assert "-xerror" in COMMANDS[name]
