"""The six services: every instance answers the standard health check."""

import re
from collections.abc import Sequence

from grpc_health.v1 import health_pb2, health_pb2_grpc

from pkg.errors import DependencyUnavailable
from pkg.registry import list_instances
from pkg.rpc.tls import make_channel
from scripts.operator.doctor.answers import ask_all
from scripts.operator.doctor.examination import Look
from scripts.operator.doctor.finding import Away, Finding
from scripts.operator.doctor.place import Place
from scripts.operator.doctor.target import Target

SERVICES = ("comment", "favorite", "message", "relation", "user", "video")
# A proxy of the environment has no business here, and a shared channel would stay in the back-off of another one.
CHANNEL_OPTIONS = (("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1))
SERVING = health_pb2.HealthCheckResponse.SERVING


def look_at_service(service: str) -> Look:
    """Return what sees whether every instance of a service answers."""

    async def look(target: Target) -> Sequence[Finding]:
        """Every instance answers its health check."""
        addresses: Sequence[str] = list(instances_of(target.place, service).values())
        if not target.place.processes:
            registered = await list_instances(target.settings.etcd)
            addresses = registered.get(registered_name(service), [])
        if not addresses:
            command = target.place.look_into(service, target.settings.etcd.nodes[0])
            raise Away([Finding(service, "does not run", "no instance is registered", command)])

        async def ask(address: str) -> None:
            await _check_health(target, service, address)

        return await ask_all(target, service, addresses, ask)

    return look


def instances_of(place: Place, section: str) -> dict[str, str]:
    """Return the addresses of the instances of a process that the place itself knows, by name: "user", "user-2"."""
    name = re.compile(rf"{section}(-\d+)?")
    return {found: address for found, address in place.processes.items() if name.fullmatch(found)}


def registered_name(service: str) -> str:
    """Return what a service is called in the registry."""
    return f"{service.capitalize()}Service"


async def _check_health(target: Target, service: str, address: str) -> None:
    channel = make_channel(
        f"ipv4:{address}", service, target.settings.rpc.tls, options=CHANNEL_OPTIONS
    )
    async with channel:
        request = health_pb2.HealthCheckRequest()
        stub = health_pb2_grpc.HealthStub(channel)
        reply = await stub.Check(request, timeout=target.answer_s)
    if reply.status != SERVING:
        raise DependencyUnavailable(detail="it says that it is not serving")
