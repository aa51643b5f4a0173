"""What scripts/bench asks, counts and tells; the whole of it runs in tests/faults/test_bench.py."""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest

from pkg.token import TokenIssuer
from scripts.benchmarks.cast import Cast
from scripts.benchmarks.ceilings import BareApp, make_body, make_fastapi_app
from scripts.benchmarks.picture import Line, draw_lines
from scripts.benchmarks.place import parse_settings, scaled
from scripts.benchmarks.report import BenchError
from scripts.benchmarks.results import Measured, Round, read_results, summarise, write_results
from scripts.benchmarks.rounds import deal
from scripts.benchmarks.soak import is_steady
from scripts.benchmarks.tables import render_comparison, render_costs, render_rates
from scripts.benchmarks.targets import judge
from scripts.benchmarks.usage import Usage, cpu_ms_per_request
from scripts.benchmarks.works import SHARES, Request, list_requests
from scripts.benchmarks.wrk import CHECKED_SHARE, Outcome, Replay, merge

FEED = Measured(
    "feed",
    "direct",
    64,
    per_s=5000,
    p50_ms=10,
    p95_ms=20,
    p99_ms=30,
    requests=25_000,
    checked=3_000,
    errors=0,
    example="",
    body_bytes=52_000,
    ratios={"asgi": 0.3, "fastapi": 0.6},
    cpu_ms={"gateway": 0.2, "video": 0.1},
    ceiling_cpu_ms={"fastapi": 0.1},
    rss_mib={"gateway": 90, "video": 100},
)


class Issuer(TokenIssuer):
    """Names the user in place of a signature."""

    def __init__(self) -> None:
        """Needs no key."""

    def issue(self, user_id: int) -> str:
        return f"token-of-{user_id}"


@pytest.fixture
def cast() -> Cast:
    return Cast(
        viewers=range(1, 41),
        videos=range(100, 160),
        older_ms=range(1000, 1060),
        authors=range(20, 80),
        discussed=range(100, 110),
        conversations=[(one, one + 40, 5000 + one) for one in range(1, 41)],
        followed=[(one, one + 40) for one in range(1, 41)],
        issuer=Issuer(),
    )


def parameters(request: Request) -> dict[str, Any]:
    return dict(request.parameters)


def outcome(**values: float) -> Outcome:
    known = {"requests": 100, "per_s": 100.0, "p50_ms": 1.0, "p95_ms": 2.0, "p99_ms": 3.0, "checked": 10, "errors": 0}  # fmt: skip
    return Outcome(**(known | values), example="")  # type: ignore[arg-type]


@pytest.mark.parametrize(("work", "target"), [("likes", "video_id"), ("follows", "to_user_id")])
def test_every_pair_is_done_once_before_any_is_undone(cast: Cast, work: str, target: str):
    told = [parameters(request) for request in list_requests(work, cast)]

    halves = told[: len(told) // 2], told[len(told) // 2 :]
    pairs = [[(one["token"], one[target]) for one in half] for half in halves]
    assert [{one["action_type"] for one in half} for half in halves] == [{1}, {2}]
    assert pairs[0] == pairs[1]
    assert len(set(pairs[0])) == len(pairs[0])
    assert all(token != f"token-of-{aim}" for token, aim in pairs[0] if work == "follows")


@pytest.mark.parametrize("work", ["likes", "mixed"])
def test_whoever_likes_through_one_way_also_unlikes_through_it(cast: Cast, work: str):
    dealt = deal(list_requests(work, cast), ["direct", "nginx", "asgi"])

    acts = {
        way: {
            (one["token"], one["video_id"], one["action_type"])
            for number, request in enumerate(dealt[way])
            if request.path == "/favorite/action/"
            and number % CHECKED_SHARE
            and (one := parameters(request))
        }
        for way in ("direct", "nginx")
    }
    assert acts["direct"].isdisjoint(acts["nginx"])
    for told in acts.values():
        assert {(token, video, 3 - action) for token, video, action in told} == told


def test_a_session_is_mostly_feed_and_undoes_what_it_did(cast: Cast):
    requests = list_requests("mixed", cast)

    shares = Counter(request.path for request in requests)
    feed = 100 * shares["/feed/"] / len(requests)
    acts = Counter(
        (parameters(one)["token"], parameters(one)["video_id"], parameters(one)["action_type"])
        for one in requests
        if one.path == "/favorite/action/"
    )
    assert sum(SHARES.values()) == 100
    assert feed == pytest.approx(SHARES["feed"] + SHARES["older"], abs=3)
    assert all(acts[token, video, 3 - action] == 1 for token, video, action in acts)


def test_the_same_work_is_the_same_at_each_run(cast: Cast):
    first = list_requests("user", cast)
    list_requests("lists", cast)

    assert list_requests("user", cast) == first


def test_polls_ask_for_what_is_newer_than_the_last_message(cast: Cast):
    first, second = (parameters(one) for one in list_requests("chat-poll", cast)[:2])

    assert first == {"token": "token-of-1", "to_user_id": 41, "pre_msg_time": 5001}
    assert second == {"token": "token-of-41", "to_user_id": 1, "pre_msg_time": 5001}


def test_a_request_is_what_an_app_sends():
    request = Request("POST", "/favorite/action/", (("token", "a b"), ("video_id", 7)))

    assert request.to_bytes("127.0.0.1:80") == (
        b"POST /douyin/favorite/action/?token=a+b&video_id=7 HTTP/1.1\r\n"
        b"Host: 127.0.0.1:80\r\nContent-Length: 0\r\n\r\n"
    )


def test_a_plan_is_written_in_two_parts_that_are_disjoint(tmp_path: Path):
    requests = [b"request %d;" % number for number in range(2 * CHECKED_SHARE)]

    Replay(tmp_path, "w", requests)

    parts = [(tmp_path / f"w.{name}").read_bytes() for name in ("checked", "trusted")]
    found = [re.findall(rb"(\d+)\n(request \d+;)", part) for part in parts]
    assert [len(part) for part in found] == [2, 2 * CHECKED_SHARE - 2]
    assert {text for part in found for _, text in part} == set(requests)
    assert all(int(length) == len(text) for part in found for length, text in part)


def test_both_generators_count_and_the_larger_one_tells_the_times():
    few: dict[str, float | str] = {"requests": 10, "seconds": 2.0, "p50_ms": 9, "p95_ms": 9, "p99_ms": 9, "broken": 1, "statuses": 2,
           "late": 0, "checked": 10, "refused": 3, "example": "200 no"}  # fmt: skip
    many = few | {"requests": 90, "p99_ms": 5, "statuses": 1, "checked": 0, "refused": 0, "example": ""}  # fmt: skip

    merged = merge([few, many])

    assert (merged.requests, merged.per_s, merged.p99_ms) == (100, 50.0, 5.0)
    assert (merged.errors, merged.checked, merged.example) == (8, 10, "200 no")


def test_ratios_are_those_of_rounds_and_not_of_medians():
    slow = Round(
        {"direct": outcome(per_s=10.0), "asgi": outcome(per_s=40.0), "fastapi": outcome(per_s=20.0)},
        {"direct": {"gateway": 1.0}, "asgi": {}, "fastapi": {"fastapi": 0.5}},
    )  # fmt: skip
    fast = replace(
        slow,
        outcomes={name: replace(one, per_s=10 * one.per_s) for name, one in slow.outcomes.items()},
    )

    (told,) = summarise("user", 64, 500, rounds=[slow, fast, slow], rss_mib={"gateway": 90.0})

    assert told.ratios == {"asgi": 0.25, "fastapi": 0.5}
    assert (told.per_s, told.cpu_ms, told.ceiling_cpu_ms) == (10.0, {"gateway": 1.0}, {"fastapi": 0.5})  # fmt: skip


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [
        (FEED, "met"),
        (replace(FEED, ratios={"fastapi": 0.5}), "missed: ratio 0.50 < 0.55"),
        (replace(FEED, p99_ms=51), "missed: p99 51 > 50 ms"),
        (replace(FEED, way="nginx"), ""),
        (replace(FEED, work="chat-send"), ""),
        (replace(FEED, connections=1, p50_ms=3.1), "missed: p50 3.1 ≥ 3 ms"),
        (replace(FEED, connections=1, p50_ms=2.9), "met"),
        (replace(FEED, connections=256, errors=2), "missed: 2 errors > 0"),
        (replace(FEED, connections=256), "met"),
    ],
)
def test_targets_are_judged_where_they_hold(measured: Measured, verdict: str):
    assert judge(measured) == verdict


def test_what_is_kept_is_read_again_and_compared(tmp_path: Path):
    write_results(tmp_path / "kept.json", [FEED], {"settings": []})

    kept = read_results(tmp_path / "kept.json")

    assert kept == [FEED]
    now = replace(FEED, per_s=10_000, cpu_ms={"gateway": 0.15})
    assert render_comparison([now], kept).splitlines()[-1].split() == ["feed", "direct", "64", "2.00", "1.00", "1.00", "0.50"]  # fmt: skip
    assert "0.600" in render_rates(kept)
    assert "0.20 / 90" in render_costs(kept)


@pytest.mark.parametrize("content", ["", "{}", '{"form": 0}', '{"form": 1, "results": [{}]}'])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: str):
    (tmp_path / "kept.json").write_text(content)

    with pytest.raises(BenchError):
        read_results(tmp_path / "kept.json")


def test_settings_are_named_as_in_the_files_of_config():
    assert parse_settings(["gateway.spool.max_mb=1", "gateway.calls_together=false"]) == {
        "DOUSHENG_GATEWAY__SPOOL__MAX_MB": "1",
        "DOUSHENG_GATEWAY__CALLS_TOGETHER": "false",
    }
    with pytest.raises(BenchError, match="write it as"):
        parse_settings(["calls_together"])


def test_a_smaller_population_can_be_drawn():
    for scale in (0.02, 1):
        scaled(scale).check()


@pytest.mark.parametrize("kind", ["asgi", "fastapi"])
async def test_a_ceiling_answers_everything_with_a_success_of_that_size(kind: str):
    body = make_body(500)
    app = BareApp(body) if kind == "asgi" else make_fastapi_app(body)

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://ceiling"
    ) as client:
        read = await client.get("/douyin/user/", params={"user_id": 1, "token": "t"})
        written = await client.post("/douyin/comment/action/", params={"token": "t"})

    assert read.content == written.content == body
    assert len(body) == 500
    assert read.json()["status_code"] == 0


def test_cpu_is_told_of_those_who_did_something():
    before = {"gateway": Usage(1.0, 80), "etcd": Usage(1.0, 20)}
    after = {"gateway": Usage(1.5, 80), "etcd": Usage(1.0, 20), "new": Usage(9.0, 1)}

    assert cpu_ms_per_request(before, after, 100) == {"gateway": 5.0}


@pytest.mark.parametrize(
    ("settled", "last", "steady"), [(100, 115, True), (100, 117, False), (400, 439, True)]
)
def test_memory_that_only_fluctuates_is_steady(settled: float, last: float, *, steady: bool):
    assert is_steady(settled, last) is steady


def test_a_picture_shows_every_line_within_its_frame():
    drawn = draw_lines("costs", ["1x", "10x"], [Line("feed", [1, 1.1]), Line("a & b", [1, 90])])

    root = ElementTree.fromstring(drawn)  # noqa: S314 - ours
    texts = {element.text for element in root.iter() if element.tag.endswith("text")}
    lines = [element.get("points", "") for element in root.iter() if element.tag.endswith("polyline")]  # fmt: skip
    heights = [float(point.split(",")[1]) for line in lines for point in line.split()]
    assert {"costs", "feed", "a & b", "1x", "10x", "100"} <= texts
    assert len(lines) == 2
    assert all(0 <= y <= float(root.get("height", "0")) for y in heights)
