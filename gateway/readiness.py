"""Which services do not answer: one look for all who ask at the same moment, because anybody may ask as often as they like."""

import asyncio

from gateway.clients import Clients
from pkg.single_flight import SingleFlight


class Readiness:
    """Asks the six services for their health; one look at a time."""

    def __init__(self, clients: Clients, *, timeout_s: float) -> None:
        self._clients = clients
        self._timeout_s = timeout_s
        self._looks = SingleFlight(self._look)

    async def list_missing(self) -> list[str]:
        """Return the names of the services that do not answer."""
        return await self._looks.get()

    async def _look(self) -> list[str]:
        named = list(self._clients.named())
        serving = await asyncio.gather(
            *(client.is_serving(timeout_s=self._timeout_s) for _, client in named)
        )
        return [name for (name, _), answers in zip(named, serving, strict=True) if not answers]
