"""Measures one work: rounds in which the product and the ceilings take turns, so that a noisy moment of the machine is shared by both."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import mean

import httpx

from scripts.benchmarks.cast import Cast
from scripts.benchmarks.ceilings import KINDS, running_ceiling
from scripts.benchmarks.place import Place
from scripts.benchmarks.report import BenchError
from scripts.benchmarks.results import Measured, Round, summarise
from scripts.benchmarks.usage import cpu_ms_per_request, read_usage
from scripts.benchmarks.works import Request, list_requests
from scripts.benchmarks.wrk import Load, Outcome, Replay
from scripts.stack.site import LOCALHOST

# What is asked for again and again is in memory then, as after a while of the same.
WARM_UP_S = {"mixed": 20, "lists": 20}
USUAL_WARM_UP_S = 2
# Of so many requests the bodies are measured, one of each kind at least.
LOOKED_AT = 24
# One address may send no more uploads at once, and an upload waits for its outcome, which takes seconds.
MOST_UPLOADS, LEAST_UPLOADING_S = 8, 10


@dataclass(frozen=True)
class Course:
    """What is measured of each work: at how many connections, by which ways, for how long and how often."""

    connections: Sequence[int]
    ways: Sequence[str]
    seconds: float
    rounds: int

    def list_connections(self, work: str) -> list[int]:
        """Return the numbers of connections that a work can stand."""
        most = MOST_UPLOADS if work == "publish" else max(self.connections)
        return sorted({min(number, most) for number in self.connections})

    def round_s(self, work: str) -> float:
        """Return how long a round of a work has to be."""
        return max(self.seconds, LEAST_UPLOADING_S) if work == "publish" else self.seconds


def measure_work(work: str, place: Place, cast: Cast, course: Course) -> list[Measured]:
    """Return what the work brings at each number of connections and by each way.

    Raises:
        BenchError: its requests are refused when nobody else asks.
    """
    requests = list_requests(work, cast)
    addresses = {way: place.addresses()[way] for way in course.ways}
    body_bytes = _measure_bodies(requests, next(iter(addresses.values())))
    pids: dict[str, int] = {}
    with ExitStack() as ceilings:
        for offset, kind in enumerate(KINDS):
            port = place.ceiling_port + offset
            addresses[kind] = f"{LOCALHOST}:{port}"
            pids[kind] = ceilings.enter_context(running_ceiling(kind, port, body_bytes))
        replays = {
            to: Replay(place.folder, f"{work}-{to}", [one.to_bytes(addresses[to]) for one in dealt])
            for to, dealt in deal(requests, list(addresses)).items()
        }
        stage = _Stage(place, addresses, replays, pids, WARM_UP_S.get(work, USUAL_WARM_UP_S))
        found = []
        for connections in course.list_connections(work):
            stage.warm_up(connections)
            load = Load(connections, course.round_s(work))
            rounds = [stage.run_round(load) for _ in range(course.rounds)]
            rss = {name: usage.rss_mib for name, usage in read_usage(place.pids()).items()}
            found += summarise(work, connections, body_bytes, rounds=rounds, rss_mib=rss)
        return found


@dataclass(frozen=True)
class _Stage:
    """Everybody who answers the requests of one work."""

    place: Place
    addresses: dict[str, str]
    replays: dict[str, Replay]
    ceilings: dict[str, int]
    warm_up_s: float

    def warm_up(self, connections: int) -> None:
        for to in self.addresses:
            self._run(to, Load(connections, self.warm_up_s))

    def run_round(self, load: Load) -> Round:
        pids = self.place.pids()
        outcomes, cpu_ms = {}, {}
        for to in self.addresses:
            watched = {to: self.ceilings[to]} if to in KINDS else pids
            before = read_usage(watched)
            outcomes[to] = self._run(to, load)
            if not outcomes[to].requests:
                raise BenchError(f"no reply within {load.seconds} s; give more --seconds")
            cpu_ms[to] = cpu_ms_per_request(before, read_usage(watched), outcomes[to].requests)
        return Round(outcomes, cpu_ms)

    def _run(self, to: str, load: Load) -> Outcome:
        return self.replays[to].run(f"http://{self.addresses[to]}/", load)


def deal(requests: Sequence[Request], receivers: Sequence[str]) -> dict[str, Sequence[Request]]:
    """Give each way a part of its own, so that none repeats what another has done; the ceilings do nothing and get all."""
    ways = [to for to in receivers if to not in KINDS]
    return {
        to: requests[ways.index(to) :: len(ways)] if to in ways else requests for to in receivers
    }


def _measure_bodies(requests: Sequence[Request], address: str) -> int:
    """Ask for some of them one by one; return the mean size of their bodies."""
    chosen = [requests[number * len(requests) // LOOKED_AT] for number in range(LOOKED_AT)]
    sizes = []
    with httpx.Client(trust_env=False, timeout=10) as client:
        for request in chosen:
            reply = _ask_patiently(client, request, address)
            if not reply.content.startswith(b'{"status_code":0'):
                raise BenchError(
                    f"{request.method} {request.path} was answered with {reply.status_code} {reply.text[:200]}"
                )
            sizes.append(len(reply.content))
    return round(mean(sizes))


def _ask_patiently(client: httpx.Client, request: Request, address: str) -> httpx.Response:
    """Ask again while a service is just coming up."""
    headers = {"Content-Type": request.content_type} if request.content_type else {}
    for _ in range(20):
        reply = client.request(
            request.method,
            f"http://{address}/douyin{request.path}",
            params=request.parameters,
            content=request.body,
            headers=headers,
        )
        if reply.status_code != 503:
            break
        time.sleep(0.5)
    return reply
