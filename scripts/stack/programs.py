"""What a supervised process is: its command and how it starts, listens and stops."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal, Protocol

Kind = Literal["server", "service"]


class Tier(IntEnum):
    """Start order; stopping goes the other way round."""

    NAMES = 5
    SERVERS = 10
    SERVICES = 20
    GATEWAY = 25
    EDGE = 30


@dataclass(frozen=True)
class Listener:
    """An address that a process listens on, and what for."""

    purpose: str
    port: int
    host: str = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class Program:
    """One supervised process.

    `fingerprint` covers configuration files that the command line does not show: another value makes the supervisor restart the process.
    """

    name: str
    kind: Kind
    tier: Tier
    command: tuple[str, ...]
    listeners: tuple[Listener, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    fingerprint: str = ""
    start_s: int = 1
    ready_within_s: int = 60
    stop_signal: str = "TERM"
    stop_within_s: int = 15

    @property
    def address(self) -> str:
        """The main address, as people type it."""
        return f"{self.listeners[0].host}:{self.listeners[0].port}"


class Component(Protocol):
    """A process of the stack: how to prepare it, run it, and see that it is ready."""

    def prepare(self) -> None:
        """Write configuration and make data folders; safe to repeat."""

    def program(self) -> Program:
        """Return how the process runs."""

    def probe(self) -> None:
        """Return when the process does its work; raise anything where it does not yet."""
