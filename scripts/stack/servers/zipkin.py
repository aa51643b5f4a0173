"""Zipkin, which keeps the traces of a local stack in memory and shows them, and the receiver that hands them to it."""

from collections.abc import Mapping
from pathlib import Path

import httpx

from scripts.stack.component import Component, Listener
from scripts.stack.files import get_command
from scripts.stack.plain_http import ask
from scripts.stack.report import StackError
from scripts.stack.site import Site

# The oldest spans are thrown away first; at most so many fit into so much memory.
MOST_SPANS = 50_000
HEAP_MIB = 256
HOUR_MS = 60 * 60 * 1000
INSTALL = "run scripts/setup --with-observe"


def is_installed(repository: Path) -> bool:
    """Return whether scripts/setup has fetched it."""
    return _program_of(repository).exists()


def _program_of(repository: Path) -> Path:
    name = (repository / "config" / "zipkin" / "server.sha256").read_text().split()[1]
    return repository / ".venv" / "share" / name


class Zipkin(Component):
    """The server and its page; there before the product, which sends to it."""

    name = "zipkin"
    listeners = (Listener("zipkin", "Zipkin"),)

    @property
    def program(self) -> Path:
        """The server as scripts/setup fetches it.

        Raises:
            StackError: it is not installed.
        """
        program = _program_of(self.site.repository)
        if not program.exists():
            raise StackError(f"not installed: {program.name}", fix=INSTALL)
        return program

    @property
    def command(self) -> list[str]:
        """The server, with nothing but memory to keep spans in."""
        program = self.program
        options = {
            "armeria.ports[0].ip": self.host,
            "armeria.ports[0].port": self.port,
            "armeria.ports[0].protocols[0]": "http",
            "zipkin.storage.type": "mem",
            "zipkin.storage.mem.max-spans": MOST_SPANS,
            # By itself it lets the pages of any site read it.
            "zipkin.query.allowed-origins": f"http://{self.address}",
            "zipkin.ui.default-lookback": HOUR_MS,
            "zipkin.ui.query-limit": 50,
            "spring.main.banner-mode": "off",
            "logging.level.root": "WARN",
        }
        return [
            get_command("java", fix=INSTALL),
            *("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Xmx{HEAP_MIB}m"),
            *("-jar", str(program)),
            *(f"--{key}={value}" for key, value in options.items()),
        ]

    def probe(self) -> None:
        """Ask whether it and its memory are well."""
        health = f"http://{self.address}/health"
        ask(health, timeout_s=2).raise_for_status()


class OtlpReceiver(Component):
    """Where the product sends its spans."""

    name = "otlp"
    listeners = (Listener("otlp", "the receiver of traces"),)

    def __init__(self, site: Site, zipkin: Zipkin) -> None:
        super().__init__(site)
        self._zipkin = zipkin

    @property
    def command(self) -> list[str]:
        """The module under the product's interpreter."""
        return [
            *(str(self.site.python), "-m", "scripts.otlp_receiver"),
            *("--host", self.host, "--port", str(self.port)),
            *("--zipkin", f"http://{self._zipkin.address}"),
        ]

    def probe(self) -> None:
        """Send it no spans."""
        httpx.post(
            f"http://{self.address}/v1/traces",
            headers={"Content-Type": "application/x-protobuf"},
            timeout=2,
            trust_env=False,
        ).raise_for_status()


def make_tracing_settings(site: Site) -> Mapping[str, str]:
    """Return the settings with which every process of the stack sends every trace to the receiver."""
    return {
        "DOUSHENG_TRACING__ENDPOINT": f"http://{site.address}:{site.ports.of('otlp')}",
        "DOUSHENG_TRACING__SAMPLE_RATIO": "1",
    }
