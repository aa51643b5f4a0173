"""The product's own processes: six services and the gateway."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import grpc
import httpx
from grpc_health.v1 import health_pb2, health_pb2_grpc

from scripts.stack.files import make_private_dir
from scripts.stack.programs import Listener, Program, Tier
from scripts.stack.site import Site


@dataclass(frozen=True)
class Service:
    """One gRPC service."""

    site: Site
    name: str
    environment: Mapping[str, str] = field(repr=False)

    def prepare(self) -> None:
        """Make the folder for what is on its way through the service."""
        make_private_dir(self.site.run_dir / "spool" / self.name)

    def program(self) -> Program:
        """Return how the service runs."""
        ports = self.site.ports
        return Program(
            name=self.name,
            kind="service",
            tier=Tier.SERVICES,
            command=(str(self.site.python), "-m", f"services.{self.name}"),
            environment=self.environment,
            listeners=(
                Listener(f"the {self.name} service", ports.of(self.name)),
                Listener(f"the {self.name} service's metrics", ports.of(f"{self.name}-metrics")),
            ),
            start_s=3,
            stop_within_s=20,
        )

    def probe(self) -> None:
        """Ask the standard health service."""
        address = f"127.0.0.1:{self.site.ports.of(self.name)}"
        # Each channel of its own: a shared one would stay in its back-off from the first refusal.
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
        with grpc.insecure_channel(address, options=options) as channel:
            reply = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=2
            )
        if reply.status != health_pb2.HealthCheckResponse.SERVING:
            raise ConnectionError(f"health is {reply.status}, not SERVING")


@dataclass(frozen=True)
class Gateway:
    """The HTTP gateway."""

    site: Site
    environment: Mapping[str, str] = field(repr=False)

    def prepare(self) -> None:
        """Make the folder for uploads on their way."""
        make_private_dir(self.site.run_dir / "spool" / "gateway")

    def program(self) -> Program:
        """Return how the gateway runs."""
        return Program(
            name="gateway",
            kind="service",
            tier=Tier.GATEWAY,
            command=(str(self.site.python), "-m", "gateway"),
            environment=self.environment,
            listeners=(Listener("the gateway", self.site.ports.of("gateway")),),
            start_s=3,
            stop_within_s=20,
        )

    def probe(self) -> None:
        """Ask whether the process lives; readiness is asked through nginx."""
        url = f"http://127.0.0.1:{self.site.ports.of('gateway')}/healthz"
        httpx.get(url, timeout=2, trust_env=False).raise_for_status()
