"""Where the product runs: what its processes are called there, and what a person types about them."""

import ipaddress
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from pkg.nodes import parse_node
from scripts.operator.doctor.finding import NotHere


class Supervised(Protocol):
    """What a supervisor says of one process."""

    @property
    def name(self) -> str:
        """As people call it."""

    @property
    def pid(self) -> int | None:
        """None while it does not run."""

    @property
    def state(self) -> str:
        """In a word: "running", "stopped"."""

    @property
    def address(self) -> str:
        """Where it is found."""


class Place(ABC):
    """One kind of place."""

    # What starts everything that does not run, where a supervisor of ours does.
    start_command = ""

    # Where the product's own processes are found, by name; empty where only etcd knows.
    processes: Mapping[str, str] = {}
    # Where the API is called; None: nobody knows here.
    url: str | None = None
    # The folder whose disk holds the data, where that is a folder of this machine.
    data_dir: Path | None = None

    def name_of(self, role: str, address: str) -> str:
        """Return what the server or service at an address is called; `role` where it has no name of its own."""
        del address
        return role

    @abstractmethod
    def look_into(self, name: str, address: str) -> str:
        """Return the command to type about a process that does not do its work."""

    @abstractmethod
    def command(self, script: str, *arguments: str) -> str:
        """Return how a script of the operator is run here."""

    def list_processes(self) -> Sequence[Supervised]:
        """Return what the supervisor knows of every process; blocks, for half a minute where it is frozen.

        Raises:
            NotHere: there is none.
        """
        raise NotHere("no supervisor of ours runs them")

    def describe_stranger(self, address: str) -> str:
        """Return who listens on the address of a process that does not run, "" where nobody is seen."""
        del address
        return ""

    @property
    def certificate_files(self) -> Sequence[Path]:
        """Certificates beside those of the settings."""
        return ()


class Containers(Place):
    """A container of docker-compose.yml beside the others."""

    def name_of(self, role: str, address: str) -> str:
        """Return the name under which compose knows it: servers are addressed by that."""
        host = parse_node(address).host
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return host
        return role

    def look_into(self, name: str, address: str) -> str:  # noqa: ARG002 - the name is enough
        """Return what shows whether it runs, and what it says."""
        return f"docker compose ps --all {name}; docker compose logs --tail 50 {name}"

    def command(self, script: str, *arguments: str) -> str:
        """Return it for the container of tools."""
        if script == "migrate":
            return "docker compose run --rm migrate"
        module = script.replace("-", "_")
        return " ".join(["docker compose run --rm tools", f"scripts.operator.{module}", *arguments])


class Elsewhere(Place):
    """A checkout whose environment names servers of anywhere."""

    def look_into(self, name: str, address: str) -> str:  # noqa: ARG002 - nobody knows how it is run
        """Return what shows whether anything listens."""
        node = parse_node(address)
        return f"nc -vz {node.host} {node.port}"

    def command(self, script: str, *arguments: str) -> str:
        """Return it as it is typed in a checkout."""
        return " ".join([f"scripts/{script}", *arguments])
