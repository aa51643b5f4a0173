"""What is copied, what is encoded again and what it costs, without ffmpeg."""

from dataclasses import replace
from typing import Any

import pytest

from pkg.media import Container, MediaSettings, Plan, UnreadableVideo, VideoInfo
from pkg.media.colour import Colour
from pkg.media.errors import TOO_EXPENSIVE
from pkg.media.plans import (
    Facts,
    Treatment,
    make_plan,
    plan_encoding,
    require_affordable,
)
from pkg.media.probe import AudioStream
from pkg.media.scan import Timeline

AAC = AudioStream(index=1, codec="aac", profile="LC", sample_rate=44100, channels=2, header_bytes=5)
PHONE_VIDEO = VideoInfo(
    container=Container.MP4,
    video_codec="h264",
    pixel_format="yuv420p",
    width=1080,
    height=1920,
    rotation=90,
    profile="High",
    level=40,
    field_order="progressive",
    audio=AAC,
    duration_s=10.0,
)
PACKETS = Timeline(packets=300, starts_with_key=True, begin_s=0.0, end_s=10.0)
COPY, ENCODE, DROP = Treatment.COPY, Treatment.ENCODE, Treatment.DROP


@pytest.fixture
def plan_video(media_settings: MediaSettings) -> Any:
    """Plans the phone's video with some facts changed."""

    def plan(
        *,
        packets: Timeline = PACKETS,
        sound: Timeline | None = None,
        steady: bool = True,
        **info: Any,
    ) -> Plan:
        facts = Facts(replace(PHONE_VIDEO, **info), packets, sound or Timeline(), steady)
        return make_plan(facts, media_settings)

    return plan


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"container": Container.MATROSKA},
        {"pixel_format": "yuvj420p"},
        {"profile": "Constrained Baseline", "level": 13},
        {"profile": "Main"},
        {"width": 4096, "height": 2304, "level": 51, "packets": replace(PACKETS, packets=250)},
        {"audio": replace(AAC, channels=1, sample_rate=8000)},
        {"colour": Colour("smpte170m", "bt470bg", "smpte170m", is_full_range=True)},
        {"duration_s": None},
    ],
    ids=str,
)
def test_what_every_platform_plays_is_copied(plan_video: Any, changes: dict[str, Any]) -> None:
    plan = plan_video(**changes)

    assert (plan.video, plan.audio) == (COPY, COPY)
    assert plan.is_light


@pytest.mark.parametrize(
    "changes",
    [
        {"container": Container.MPEG_TS},
        {"container": Container.AVI},
        {"container": Container.FLV},
        {"video_codec": "hevc"},
        {"pixel_format": "yuv420p10le"},
        {"pixel_format": ""},
        {"width": 4097},
        {"height": 4098},
        {"width": 4096, "height": 4096, "level": 51},
        {"profile": "High 10"},
        {"profile": "High 4:2:2"},
        {"profile": "High 4:4:4 Predictive"},
        {"profile": "Baseline"},
        {"profile": "Extended"},
        {"profile": ""},
        {"level": 52},
        {"level": 0},
        {"field_order": "tt"},
        {"field_order": ""},
        {"has_square_pixels": False},
        {"rotation": 45},
        {"is_mirrored": True},
        {"colour": Colour("bt2020nc", "bt2020", "arib-std-b67", is_full_range=False)},
        {"colour": Colour("bt709", "bt709", "smpte2084", is_full_range=False)},
        {"colour": Colour("bt709", "bt2020", "bt709", is_full_range=False)},
        {"colour": Colour("ycgco", "bt709", "bt709", is_full_range=False)},
        {"steady": False},
        {"packets": replace(PACKETS, starts_with_key=False)},
        {"packets": replace(PACKETS, is_ordered=False)},
        {"packets": replace(PACKETS, hidden_packets=1)},
        {"packets": replace(PACKETS, packets=1200)},
    ],
    ids=str,
)
def test_what_a_platform_may_not_play_is_encoded_again(
    plan_video: Any, changes: dict[str, Any]
) -> None:
    plan = plan_video(**changes)

    assert (plan.video, plan.audio) == (ENCODE, ENCODE)
    assert not plan.is_light


@pytest.mark.parametrize(
    "audio",
    [
        AudioStream(index=1, codec="opus", sample_rate=48000, channels=2),
        AudioStream(index=1, codec="mp3", sample_rate=44100, channels=2),
        AudioStream(index=1, codec="amr_nb", sample_rate=8000, channels=1),
        replace(AAC, profile="HE-AAC"),
        replace(AAC, profile="Main"),
        replace(AAC, sample_rate=96000),
        replace(AAC, channels=6),
        replace(AAC, header_bytes=900),
    ],
    ids=str,
)
def test_a_foreign_audio_stream_alone_does_not_cost_the_pictures_quality(
    plan_video: Any, audio: AudioStream
) -> None:
    plan = plan_video(audio=audio)

    assert (plan.video, plan.audio) == (COPY, ENCODE)


def test_sound_that_an_edit_list_hides_is_not_copied(plan_video: Any) -> None:
    assert plan_video(sound=Timeline(hidden_s=0.05)).audio is COPY
    assert plan_video(sound=Timeline(hidden_s=0.5)).audio is ENCODE


def test_a_video_without_an_audio_stream_stays_silent(
    plan_video: Any, media_settings: MediaSettings
) -> None:
    plan = plan_video(audio=None)

    assert (plan.video, plan.audio) == (COPY, DROP)
    encoding = plan_encoding(plan, media_settings)
    assert (encoding.video, encoding.audio) == (ENCODE, DROP)


HEVC = {"video_codec": "hevc"}


def make_packets(seconds: float, fps: float = 30) -> Timeline:
    return Timeline(packets=round(seconds * fps), starts_with_key=True, begin_s=0.0, end_s=seconds)


def plan_film(plan_video: Any, size: tuple[int, int], packets: Timeline) -> Plan:
    """Plan an HEVC video of a size and some pictures."""
    width, height = size
    duration_s = packets.duration_s
    plan: Plan = plan_video(
        **HEVC, width=width, height=height, duration_s=duration_s, packets=packets
    )
    return plan


@pytest.mark.parametrize(
    ("size", "seconds"),
    [((1080, 1920), 450), ((720, 1280), 1800), ((3840, 2160), 60), ((7680, 4320), 10)],
)
def test_what_people_film_is_affordable(
    plan_video: Any, media_settings: MediaSettings, size: tuple[int, int], seconds: float
) -> None:
    plan = plan_film(plan_video, size, make_packets(seconds))

    require_affordable(plan, max_cost_s=media_settings.max_cost_s)


@pytest.mark.parametrize(
    ("size", "packets"),
    [
        ((5888, 5888), make_packets(200)),
        ((1920, 1080), make_packets(1800, fps=60)),
        ((320, 240), make_packets(1800, fps=2000)),
    ],
    ids=["few huge pictures", "long", "countless small pictures"],
)
def test_what_would_take_an_hour_is_refused_before_it_begins(
    plan_video: Any, media_settings: MediaSettings, size: tuple[int, int], packets: Timeline
) -> None:
    plan = plan_film(plan_video, size, packets)

    with pytest.raises(UnreadableVideo) as caught:
        require_affordable(plan, max_cost_s=media_settings.max_cost_s)

    assert caught.value.reason == TOO_EXPENSIVE


def test_hdr_costs_more(plan_video: Any) -> None:
    hdr = Colour("bt2020nc", "bt2020", "smpte2084", is_full_range=False)

    assert plan_video(**HEVC, colour=hdr).cost_s > 1.3 * plan_video(**HEVC).cost_s


def test_a_copy_costs_about_a_second(plan_video: Any) -> None:
    assert plan_video().cost_s == pytest.approx(1, abs=0.1)
