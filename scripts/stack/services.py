"""The product's own processes: six services and the gateway."""

from collections.abc import Mapping

import grpc
import httpx
from grpc_health.v1 import health_pb2, health_pb2_grpc

from scripts.stack.component import Component, Listener, Tier
from scripts.stack.files import make_private_dir
from scripts.stack.site import Site


class _Process(Component):
    """A Python module of the product, with the settings of the stack in its environment."""

    kind = "service"
    module: str
    start_s = 3
    stop_within_s = 25

    def __init__(self, site: Site, environment: Mapping[str, str]) -> None:
        super().__init__(site)
        self._environment = environment

    @property
    def command(self) -> list[str]:
        """The module under the product's interpreter."""
        return [str(self.site.python), "-m", self.module]

    @property
    def environment(self) -> Mapping[str, str]:
        """The settings of the stack."""
        return self._environment

    def prepare(self) -> None:
        """Make the folder for uploads on their way."""
        super().prepare()
        make_private_dir(self.site.place / "spool" / self.name)


class Service(_Process):
    """One gRPC service."""

    tier = Tier.SERVICES

    def __init__(self, site: Site, name: str, environment: Mapping[str, str]) -> None:
        super().__init__(site, environment)
        self.name, self.module = name, f"services.{name}"
        self.listeners = (
            Listener(name, f"the {name} service"),
            Listener(f"{name}-metrics", f"the {name} service's metrics"),
        )

    def probe(self) -> None:
        """Ask the standard health service."""
        # Each channel of its own: a shared one would stay in its back-off from the first refusal.
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
        with grpc.insecure_channel(self.address, options=options) as channel:
            reply = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=2
            )
        if reply.status != health_pb2.HealthCheckResponse.SERVING:
            raise ConnectionError(f"health is {reply.status}, not SERVING")


class Gateway(_Process):
    """The HTTP gateway."""

    name = module = "gateway"
    tier = Tier.GATEWAY
    listeners = (Listener("gateway", "the gateway"),)

    def probe(self) -> None:
        """Ask whether the process lives; readiness is asked through nginx."""
        httpx.get(f"http://{self.address}/healthz", timeout=2, trust_env=False).raise_for_status()
