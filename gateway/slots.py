"""Concurrency limits for uploads and WebSockets: few requests, but each holds resources for minutes."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from gateway.metrics import RATE_LIMITED
from gateway.settings import GatewaySettings
from pkg.errors import RateLimited
from pkg.networks import network_of

RETRY_AFTER_S = 5


class Slots:
    """Limits how many run at once in total and per holder, so that one holder cannot take all slots."""

    def __init__(self, *, total: int, per_holder: int) -> None:
        self._total = total
        self._per_holder = per_holder
        self._held: Counter[str] = Counter()

    @property
    def taken(self) -> int:
        """How many are held now."""
        return self._held.total()

    @contextmanager
    def take(self, holder: str) -> Iterator[None]:
        """Hold a slot for as long as the block runs.

        Raises:
            RateLimited: none is free for this holder.
        """
        if self.taken >= self._total or self._held[holder] >= self._per_holder:
            RATE_LIMITED.labels("slots").inc()
            raise RateLimited(retry_after_s=RETRY_AFTER_S)
        self._held[holder] += 1
        try:
            yield
        finally:
            self._held[holder] -= 1
            if not self._held[holder]:
                del self._held[holder]


@dataclass(frozen=True)
class SharedSlots:
    """Slots of which users and networks each have a share; one is taken from both."""

    of_users: Slots
    of_networks: Slots

    @contextmanager
    def take(self, user_id: int, address: str) -> Iterator[None]:
        """Hold a slot of a user and of their network for as long as the block runs.

        Raises:
            RateLimited: none is free for this user or this network.
        """
        with self.of_users.take(str(user_id)), self.of_networks.take(network_of(address)):
            yield


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
            Slots(total=uploads, per_holder=settings.max_uploads_per_user),
            Slots(total=uploads, per_holder=settings.max_uploads_per_address),
        ),
        sockets=SharedSlots(
            Slots(total=sockets, per_holder=settings.max_sockets_per_user),
            Slots(total=sockets, per_holder=settings.max_sockets_per_address),
        ),
    )
