"""What every supervised process of the stack has: ports, configuration, a command, a probe."""

import hashlib
import os
import ssl
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Literal, NamedTuple

from scripts.private_files import make_private_dir, write_private
from scripts.stack.authority import Pair
from scripts.stack.files import render
from scripts.stack.site import Site
from scripts.stack.syntax import to_launch_script

Kind = Literal["server", "service"]


class Tier(IntEnum):
    """Start order; stopping goes the other way round."""

    NAMES = 5
    SERVERS = 10
    SERVICES = 20
    GATEWAY = 25
    EDGE = 30
    OBSERVERS = 40


class Listener(NamedTuple):
    """A port by its name in `ports.OFFSETS`, and what it is for, as a message tells it."""

    port: str
    purpose: str


class Component(ABC):
    """One supervised process; a subclass says what differs from the defaults below."""

    name: str
    # Of some there are several, which differ in their ports.
    instance = 1
    kind: Kind = "server"
    tier = Tier.SERVERS
    # Its ports, the main one first.
    listeners: Sequence[Listener]
    # Folders to make inside of the process's own, and templates of config/ that are rendered into it.
    folders: Sequence[str] = ()
    templates: Sequence[str] = ()
    # Whose certificate it shows, where that is another name than its own.
    certificate = ""
    # What the supervisor is told, and how long the first probe may take.
    start_s = 1
    stop_signal = "TERM"
    # What it gets when its supervisor dies.
    orphan_signal = "KILL"
    stop_within_s = 15
    ready_within_s = 60

    def __init__(self, site: Site) -> None:
        self.site = site

    @property
    def directory(self) -> Path:
        """The folder of its configuration and data."""
        return self.site.place / self.name

    @property
    def host(self) -> str:
        """The address that it listens on."""
        return self.site.address

    @property
    def port(self) -> int:
        """Its main port."""
        return self.port_of(self.listeners[0])

    def port_of(self, listener: Listener) -> int:
        """Return the port of one of its listeners."""
        return self.site.ports.of(listener.port, self.instance)

    @property
    def address(self) -> str:
        """Its main address, as people type it."""
        return f"{self.host}:{self.port}"

    @property
    def tls_pair(self) -> Pair | None:
        """Its own certificate and key, where the stack has TLS."""
        return (
            self.site.authority.pair(self.certificate or self.name) if self.site.has_tls else None
        )

    def tls_context(self) -> ssl.SSLContext | None:
        """Return what a probe connects with, where the stack has TLS."""
        tls = self.site.operator_tls
        return tls.make_context() if tls else None

    @property
    def working_directory(self) -> Path:
        """Where it runs."""
        return self.site.repository

    @property
    def leftovers(self) -> Sequence[str]:
        """What it leaves in its working directory when it is killed, in its own way at the next start."""
        return ()

    @property
    def preparation(self) -> Sequence[str]:
        """Lines of shell that run before it is started, in its own way after it was killed."""
        return ()

    @property
    @abstractmethod
    def command(self) -> list[str]:
        """How it is started."""

    @property
    def environment(self) -> Mapping[str, str]:
        """What it needs in its environment beside the plain one."""
        return {}

    @property
    def values(self) -> Mapping[str, object]:
        """What its templates are filled with."""
        return {}

    def files(self) -> dict[str, str]:
        """Return its configuration files: the content by the name in its folder."""
        config = self.site.config_dir
        return {
            Path(name).name.removesuffix(".template"): render(config / name, self.values)
            for name in self.templates
        }

    @property
    def fingerprint(self) -> str:
        """A digest of its configuration, command and environment; another one makes a restart necessary."""
        return digest(f"{self.files()}{self.launch_script()}")

    def launch_script(self) -> str:
        """Return the shell script that becomes the process."""
        return to_launch_script(
            self.command,
            directory=self.working_directory,
            environment=self.environment,
            remove=self.leftovers,
            preparation=self.preparation,
        )

    def prepare(self) -> None:
        """Make the folders and write the configuration; safe to repeat."""
        for name in self.folders:
            make_private_dir(self.directory / name)
        for name, content in self.files().items():
            write_private(self.directory / name, content)
        write_private(self.site.launch_script(self.name), os.fsencode(self.launch_script()))

    @abstractmethod
    def probe(self) -> None:
        """Return when the process does its work; raise anything where it does not yet."""


def digest(text: str) -> str:
    """Return a short text that tells one content from another."""
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:16]
