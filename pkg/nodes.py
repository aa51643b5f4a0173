"""Addresses of servers in the settings, and taking turns at the nodes of one cluster."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, NamedTuple, TypeVar

from pydantic import AfterValidator, Field

from pkg.errors import DependencyRefused, DependencyUnavailable

T = TypeVar("T")


class Node(NamedTuple):
    """Where one server listens."""

    host: str
    port: int


def parse_node(address: str) -> Node:
    """Return the two parts of `host:port`; an IPv6 address stands in brackets.

    Raises:
        ValueError: it is no such address.
    """
    host, _, port = address.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if not bare or (":" in bare and bare == host and not bare.startswith("unix:")):
        raise ValueError(f"{address!r} is not host:port")
    if not (port.isascii() and port.isdecimal() and 1 <= int(port) <= 65535):
        raise ValueError(f"{address!r} has no port from 1 to 65535 at its end")
    return Node(bare, int(port))


def _check_address(address: str) -> str:
    parse_node(address)
    return address


Address = Annotated[str, AfterValidator(_check_address)]
Addresses = Annotated[tuple[Address, ...], Field(min_length=1)]


class NodeTurns:
    """The nodes of one cluster, the one that was connected to last first."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._nodes = [parse_node(address) for address in addresses]
        self._first = 0

    def __len__(self) -> int:
        return len(self._nodes)

    @property
    def latest(self) -> Node:
        """The node that was connected to last; before that, the first one."""
        return self._nodes[self._first]

    async def connect(
        self,
        attempt: Callable[[Node], Awaitable[T]],
        *,
        timeout_s: float,
        failures: tuple[type[Exception], ...] = (DependencyUnavailable,),
    ) -> T:
        """Return what the first attempt returns that succeeds; each node has an equal share of the time.

        Raises:
            Exception: every node failed; the refusal of one that an operator must mend comes before an outage.
            TimeoutError: the last one did not answer in its share.
        """
        expected: tuple[type[Exception], ...] = (*failures, TimeoutError)
        errors: list[Exception] = []
        for index in self._in_turn():
            try:
                async with asyncio.timeout(timeout_s / len(self._nodes)):
                    connected = await attempt(self._nodes[index])
            except expected as exc:
                errors.append(exc)
            else:
                self._first = index
                return connected
        refusals = [error for error in errors if isinstance(error, DependencyRefused)]
        raise (refusals or errors)[-1]

    def _in_turn(self) -> list[int]:
        count = len(self._nodes)
        return [(self._first + turn) % count for turn in range(count)]
