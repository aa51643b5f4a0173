"""How soon a like shows: to the one who likes, and to somebody else. One like at a time, as in a quiet hour."""

import time
from collections.abc import Sequence
from typing import Any

import httpx

from scripts.benchmarks.cast import Cast
from scripts.benchmarks.report import BenchError
from scripts.benchmarks.works import DO, UNDO

PROBES = 20
SHOWN_WITHIN_S = 10
PAUSE_S = 0.005


def measure_effects(cast: Cast, address: str) -> str:
    """Return in two lines after which time the actor's list shows a like, to the actor and to others.

    Raises:
        BenchError: a like did not show.
    """
    lines = []
    with httpx.Client(trust_env=False, timeout=10, base_url=f"http://{address}/douyin") as client:
        probe = _Probe(client, cast)
        for whom, shift in (("the actor sees a like", 0), ("others see a like", 1)):
            seconds = [probe.measure(number, viewer=number + shift) for number in range(PROBES)]
            lines.append(f"{whom} after {_describe(seconds)}")
    return "\n".join(lines)


class _Probe:
    def __init__(self, client: httpx.Client, cast: Cast) -> None:
        self._client, self._cast = client, cast

    def measure(self, actor: int, *, viewer: int) -> float:
        """Like or unlike a video; return the seconds from the reply until a viewer sees it in the actor's list."""
        actor_id = self._cast.viewers[actor % len(self._cast.viewers)]
        viewer_id = self._cast.viewers[viewer % len(self._cast.viewers)]
        video = self._cast.videos[actor % len(self._cast.videos)]
        listed = self._is_listed(actor_id, video, actor_id)
        action = {"video_id": video, "action_type": UNDO if listed else DO}
        self._ask("POST", "/favorite/action/", actor_id, action)
        began = time.perf_counter()
        while self._is_listed(actor_id, video, viewer_id) is listed:
            if time.perf_counter() - began > SHOWN_WITHIN_S:
                raise BenchError(f"a like did not show within {SHOWN_WITHIN_S} s")
            time.sleep(PAUSE_S)
        return time.perf_counter() - began

    def _is_listed(self, actor: int, video: int, viewer: int) -> bool:
        reply = self._ask("GET", "/favorite/list/", viewer, {"user_id": actor})
        return video in {card["id"] for card in reply["video_list"]}

    def _ask(self, method: str, path: str, viewer: int, parameters: dict[str, int]) -> Any:
        query: dict[str, str | int] = {"token": self._cast.token(viewer), **parameters}
        reply = self._client.request(method, path, params=query).json()
        if reply["status_code"] != 0:
            raise BenchError(f"{path} was answered with {reply}")
        return reply


def _describe(seconds: Sequence[float]) -> str:
    ordered = sorted(seconds)
    middle, last = ordered[len(ordered) // 2], ordered[-1]
    return f"{1000 * middle:.0f} ms, {1000 * last:.0f} ms at most (quiet, {len(ordered)} likes, one look included)"
