"""The product's own processes: six services and the gateway, each as often as is wanted."""

from collections.abc import Mapping, Sequence

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from pkg.rpc.tls import certificate_name
from scripts.private_files import make_private_dir
from scripts.stack.component import Component, Listener, Tier
from scripts.stack.environment import make_instance_environment, make_tls_environment, name_instance
from scripts.stack.plain_http import ask
from scripts.stack.site import Site


class ProductProcess(Component):
    """A Python module of the product, with the settings of the stack and ports of its own in its environment."""

    kind = "service"
    start_s = 3
    stop_within_s = 25
    # All instances of everything may start at once.
    ready_within_s = 120
    # What it is an instance of, as its settings name it, and the module that it runs.
    section: str
    module: str

    def __init__(
        self, site: Site, section: str, environment: Mapping[str, str], *, instance: int
    ) -> None:
        super().__init__(site)
        self.section, self.instance = section, instance
        self.name = name_instance(section, instance)
        own = make_tls_environment(site, section)
        if instance > 1:
            own |= make_instance_environment(site, section, instance)
        self._environment = {**environment, **own}

    @property
    def metrics_address(self) -> str:
        """Where Prometheus asks it: on the last of its ports."""
        return f"{self.host}:{self.port_of(self.listeners[-1])}"

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


class Service(ProductProcess):
    """One instance of a gRPC service."""

    tier = Tier.SERVICES

    def __init__(
        self, site: Site, section: str, environment: Mapping[str, str], *, instance: int = 1
    ) -> None:
        super().__init__(site, section, environment, instance=instance)
        self.module = f"services.{section}"
        self.listeners = (
            Listener(section, f"the {self.name} service"),
            Listener(f"{section}-metrics", f"the {self.name} service's metrics"),
        )

    def probe(self) -> None:
        """Ask the standard health service."""
        # Each channel of its own: a shared one would stay in its back-off from the first refusal.
        options: list[tuple[str, object]] = [
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.enable_http_proxy", 0),
        ]
        with open_channel(self.site, self.section, self.address, options) as channel:
            reply = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=2
            )
        if reply.status != health_pb2.HealthCheckResponse.SERVING:
            raise ConnectionError(f"health is {reply.status}, not SERVING")


def open_channel(
    site: Site, section: str, address: str, options: Sequence[tuple[str, object]] = ()
) -> grpc.Channel:
    """Return a blocking channel to an instance of a service, encrypted where the stack has TLS."""
    tls = site.operator_tls
    if tls is None:
        return grpc.insecure_channel(address, options)
    expected = ("grpc.ssl_target_name_override", certificate_name(section))
    return grpc.secure_channel(address, tls.make_channel_credentials(), [*options, expected])


class Gateway(ProductProcess):
    """One instance of the HTTP gateway."""

    module = "gateway"
    tier = Tier.GATEWAY

    def __init__(self, site: Site, environment: Mapping[str, str], *, instance: int = 1) -> None:
        super().__init__(site, "gateway", environment, instance=instance)
        self.listeners = (Listener("gateway", f"the {self.name}"),)

    def probe(self) -> None:
        """Ask whether the process lives; readiness is asked through nginx."""
        self.get("healthz")

    def get(self, path: str) -> str:
        """Return what it answers on a path that needs no account.

        Raises:
            httpx.HTTPError: it does not answer, or with an error.
        """
        reply = ask(f"http://{self.address}/{path}", timeout_s=2)
        return reply.raise_for_status().text
