"""Concurrency limits for uploads and WebSockets: few requests, but each holds resources for minutes."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from gateway.metrics import RATE_LIMITED
from gateway.settings import GatewaySettings
from pkg.errors import BUSY, RateLimited
from pkg.networks import network_of

RETRY_AFTER_S = 5

GiveWay = Callable[[], None]


@dataclass(eq=False)
class Slot:
    """One slot that is held; `give_way` ends what holds it, None where nothing may end it."""

    give_way: GiveWay | None


class Slots:
    """Limits how many run at once in total and per holder, so that one holder cannot take all slots.

    When all are taken, the newest of the holder with the most gives way to somebody who would still have fewer.
    """

    def __init__(self, *, total: int, per_holder: int) -> None:
        self._total = total
        self._per_holder = per_holder
        self._held: dict[str, list[Slot]] = {}
        self.taken = 0

    @contextmanager
    def take(self, holder: str, give_way: GiveWay | None = None) -> Iterator[Slot]:
        """Hold a slot for as long as the block runs.

        Args:
            give_way: called when the slot has been given to another holder; has to end the block.

        Raises:
            RateLimited: none is free for this holder.
        """
        own = len(self._held.get(holder, ()))
        if own >= self._per_holder or (self.taken >= self._total and not self._take_back(own)):
            RATE_LIMITED.labels("slots").inc()
            raise RateLimited(retry_after_s=RETRY_AFTER_S)
        slot = Slot(give_way)
        self._held.setdefault(holder, []).append(slot)
        self.taken += 1
        try:
            yield slot
        finally:
            self._release(holder, slot)

    def _take_back(self, own: int) -> bool:
        holder, slots = max(self._held.items(), key=lambda item: len(item[1]))
        willing = [slot for slot in slots if slot.give_way]
        if len(slots) <= own + 1 or not willing:
            return False
        slot = willing[-1]
        self._release(holder, slot)
        if slot.give_way:
            slot.give_way()
        return True

    def _release(self, holder: str, slot: Slot) -> None:
        slots = self._held.get(holder, [])
        if slot in slots:  # Else it was taken back.
            slots.remove(slot)
            self.taken -= 1
        if not slots:
            self._held.pop(holder, None)


@asynccontextmanager
async def giving_way() -> AsyncIterator[GiveWay]:
    """Run a block that holds a slot; the function that it gets ends it.

    Raises:
        RateLimited: the slot was given to another holder.
    """
    scope = asyncio.timeout(None)
    clock = asyncio.get_running_loop().time

    def give_way() -> None:
        # While the block is still ending it may hold another slot, which can be wanted as well.
        if not scope.expired():
            scope.reschedule(clock())

    try:
        async with scope:
            yield give_way
    except TimeoutError as exc:
        if not scope.expired():
            raise
        raise RateLimited(BUSY, retry_after_s=RETRY_AFTER_S) from exc


@dataclass(frozen=True)
class SharedSlots:
    """Slots of which users and networks each have a share; one is taken from both. Networks give way to each other."""

    of_users: Slots
    of_networks: Slots

    @contextmanager
    def take(self, user_id: int, address: str, give_way: GiveWay) -> Iterator[Slot]:
        """Hold a slot of a user and of their network for as long as the block runs; gives the network's.

        Raises:
            RateLimited: none is free for this user or this network.
        """
        with (
            self.of_users.take(str(user_id)),
            self.of_networks.take(network_of(address), give_way) as slot,
        ):
            yield slot


@dataclass(frozen=True)
class GatewaySlots:
    """All slots of this process."""

    unknown_uploads: Slots  # by network: nobody has shown a token yet
    uploads: SharedSlots
    sockets: SharedSlots


def make_slots(settings: GatewaySettings) -> GatewaySlots:
    """Return slots that are all free."""
    uploads, sockets = settings.max_parallel_uploads, settings.max_sockets
    return GatewaySlots(
        unknown_uploads=Slots(
            total=settings.max_unknown_uploads, per_holder=settings.max_unknown_uploads_per_address
        ),
        uploads=SharedSlots(
            Slots(total=sys.maxsize, per_holder=settings.max_uploads_per_user),
            Slots(total=uploads, per_holder=settings.max_uploads_per_address),
        ),
        sockets=SharedSlots(
            Slots(total=sys.maxsize, per_holder=settings.max_sockets_per_user),
            Slots(total=sockets, per_holder=settings.max_sockets_per_address),
        ),
    )
