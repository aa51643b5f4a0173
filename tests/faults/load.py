"""A steady mixed load over HTTP: many people with tokens, all that they were answered, and a check that it is true.

async with steady_load(system.base_url, small_video) as load:
    began_s = load.now()
    ...                                        # something dies
    await load.goes_on(30)                     # prints what the people are answered meanwhile
    await load.heals(within_s=60)              # no call fails any more, each kind succeeds
    await load.stop()
    load.ledger.failures(since_s=began_s)      # each call that failed: kind, error, times; ledger.in_flight
    await load.verify(settings)                # each acknowledged effect is there once; nobody waited too long
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from scripts.stack.plain_http import NO_CERTIFICATES
from tests.conftest import AllSettings
from tests.eventually import eventually
from tests.faults.ledger import KINDS, Ledger, count_by_kind
from tests.faults.people import Person, Town, introduce
from tests.faults.verification import Verification
from tests.register_stores import open_stores
from tests.system.app import App, Spoken
from tests.system.publishing import wait_published

PEOPLE = 20
CALLS_PER_S = 50.0
# One upload after the other, with a pause: each costs the machine more than all other calls of a second.
PUBLISH_PAUSE_S = 5.0
AUTHORS = 3
# Nothing failed for so long: it is healed. Rarer kinds have one success at least within it.
CALM_S = 5.0
VERIFIED_WITHIN_S = 90.0
# Whoever waits so long was not answered in time.
CLIENT_TIMEOUT_S = 20.0


@dataclass
class Load:
    """People who use the product until `stop`."""

    ledger: Ledger
    people: list[Person]
    pause_s: float
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: list["asyncio.Task[None]"] = field(default_factory=list)
    _watchers: list["asyncio.Task[None]"] = field(default_factory=list)

    @classmethod
    async def start(
        cls,
        http: httpx.AsyncClient,
        base_url: str,
        small_video: Path,
        *,
        people: int = PEOPLE,
        calls_per_s: float = CALLS_PER_S,
    ) -> "Load":
        """Register an even number of people with videos and friends, and let them begin."""
        spoken = Spoken()
        pairs = await introduce(lambda: App(http, base_url, spoken), people)
        authors = [app for app, _ in pairs[:AUTHORS]]
        uploads = await asyncio.gather(*(app.publish(small_video) for app in authors))
        cards = [
            await wait_published(app, video) for app, video in zip(authors, uploads, strict=True)
        ]
        town = Town(
            ledger=Ledger(),
            authors=[app.user_id for app, _ in pairs],
            videos=[card["id"] for card in cards],
            covers=[card["cover_url"] for card in cards],
            small_video=small_video,
        )
        everybody = [
            Person(app, friend, town, random.Random(number))
            for number, (app, friend) in enumerate(pairs)
        ]
        load = cls(town.ledger, everybody, pause_s=people / calls_per_s)
        load._begin()
        return load

    def _begin(self) -> None:
        self._tasks = [asyncio.create_task(self._live(person)) for person in self.people]
        self._tasks.append(asyncio.create_task(self._publish(self.people[0])))
        self._watchers = [asyncio.create_task(person.watch()) for person in self.people[:6:2]]

    async def _live(self, person: Person) -> None:
        # Nobody begins at the same moment.
        await self._pause(person.chance.uniform(0, self.pause_s))
        while not self._stopping.is_set():
            await person.do_something()
            await self._pause(person.chance.uniform(0.5, 1.5) * self.pause_s)

    async def _publish(self, person: Person) -> None:
        while not self._stopping.is_set():
            await person.publish()
            await self._pause(PUBLISH_PAUSE_S)

    async def _pause(self, seconds: float) -> None:
        """Keep the pace; whoever stops does not wait for it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    @staticmethod
    def now() -> float:
        """Return the time of the clock by which the ledger tells when calls were made."""
        return time.monotonic()

    def check_alive(self) -> None:
        """Raise what ended a person's task: a mistake of the load, not of the product."""
        for task in (*self._tasks, *self._watchers):
            if task.done():
                task.result()

    async def goes_on(self, seconds: float) -> None:
        """Let the people go on for so long, and print each five seconds what they are answered."""
        for _ in range(round(seconds / CALM_S)):
            since_s = self.now()
            await asyncio.sleep(CALM_S)
            self.check_alive()
            calls = self.ledger.between(since_s)
            failed = [call for call in calls if call.error]
            print(
                f"    {len(calls):4d} calls, {len(failed):3d} failed {count_by_kind(failed) or ''}"
            )

    async def heals(self, *, within_s: float, since_s: float | None = None) -> float:
        """Wait until no call has failed for five seconds and each kind has succeeded since; return how long that took.

        Args:
            within_s: how long the last failure may come after `since_s`, by default now; the calm itself is not counted.
        """
        began_s = calm_since_s = self.now() if since_s is None else since_s

        def calm() -> bool:
            nonlocal calm_since_s
            self.check_alive()
            failures = self.ledger.failures(calm_since_s)
            if failures:
                calm_since_s = max(call.ended_s for call in failures) + 1e-6
            missing = KINDS - {call.kind for call in self.ledger.between(calm_since_s)}
            assert not missing, f"not yet again: {sorted(missing)}"
            return self.now() - calm_since_s >= CALM_S

        await eventually(calm, within_s=within_s + 4 * CALM_S, interval_s=0.2)
        healed_s = calm_since_s - began_s
        assert healed_s <= within_s, f"healed after {healed_s:.0f} s, not within {within_s} s"
        return healed_s

    async def stop(self) -> None:
        """Let everybody end the call in hand and stop; watchers see what is still on its way."""
        self._stopping.set()
        await asyncio.gather(*self._tasks)

    async def close(self) -> None:
        """End everybody at once, whatever they do."""
        for task in (*self._tasks, *self._watchers):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._watchers, return_exceptions=True)

    async def verify(self, settings: AllSettings) -> None:
        """Check that all that was acknowledged is there, once and in order; waits for what is on its way.

        Raises:
            AssertionError: what is missing, comes twice or is wrong; who waited too long.
        """
        for person in self.people:
            await person.poll()
        late = self.ledger.late()
        assert not late, late
        async with open_stores(settings.mysql, settings.redis_actions) as stores:
            verification = Verification(self.ledger, self.people, stores)
            await eventually(verification.holds, within_s=VERIFIED_WITHIN_S, interval_s=0.5)

    def describe(self, since_s: float = 0) -> str:
        """Return one line of figures since a time: calls, failures, and how long those took."""
        calls, failed = self.ledger.between(since_s), self.ledger.failures(since_s)
        waited = sorted(call.took_s for call in failed) or [0.0]
        return (
            f"{len(calls)} calls, {len(failed)} failed, which took {waited[len(waited) // 2]:.2f} s in the middle and"
            f" {waited[-1]:.2f} s at most; {count_by_kind(failed) or ''}"
        )


@asynccontextmanager
async def steady_load(
    base_url: str, small_video: Path, *, people: int = PEOPLE, calls_per_s: float = CALLS_PER_S
) -> AsyncIterator[Load]:
    """Run a load with connections of its own while the block runs; it ends with the block, however that ends."""
    timeout = httpx.Timeout(CLIENT_TIMEOUT_S)
    async with httpx.AsyncClient(timeout=timeout, trust_env=False, verify=NO_CERTIFICATES) as http:
        load = await Load.start(http, base_url, small_video, people=people, calls_per_s=calls_per_s)
        try:
            yield load
        finally:
            await load.close()
