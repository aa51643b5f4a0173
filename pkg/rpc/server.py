"""The life cycle of every gRPC service, in one place.

Start: settings, logs, metrics, resources (which wait for their servers), serve, health SERVING, register.
SIGTERM: deregister, NOT_SERVING, let clients see it, finish what runs, stop consumers and jobs, close pools, exit 0.
A background task that dies ends the process with a log line; its supervisor starts it again.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

import grpc
import uvloop
from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from loguru import logger

from pkg.garbage import collect_less_often
from pkg.log import setup_logging
from pkg.loop_lag import measured_loop_lag
from pkg.metrics import metrics_server, tell_build
from pkg.registry import EtcdSettings, Registration
from pkg.rpc.admission import Admission
from pkg.rpc.interceptor import ErrorInterceptor
from pkg.rpc.many.servicer import ManyServicer, serve_together
from pkg.rpc.tls import RpcSettings, add_port, check_own_certificate
from pkg.settings import Count, Port, ProcessSettings, Seconds, Section, SettingsError
from pkg.stopping import stop_on_signals
from pkg.tracing import TracingSettings, tracing

# Clients learn of a deregistration within this time; calls that they send meanwhile are still served.
DISCOVERY_DELAY_S = 0.7
SERVER_OPTIONS = [
    # The largest message is a piece of an upload, 256 KiB.
    ("grpc.max_receive_message_length", 1024 * 1024),
    # Two processes on one port would share its connections at random: the second must fail instead.
    ("grpc.so_reuseport", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
]

SERVING = health_pb2.HealthCheckResponse.SERVING
STOPPED = health_pb2.HealthCheckResponse.NOT_SERVING

# Runs until its argument is set, then finishes what it has begun and returns.
Background = Callable[[asyncio.Event], Awaitable[None]]


class ServiceSettings(Section):
    """What every gRPC service has: where it listens and what it tells the registry."""

    host: str
    """Where it listens."""
    port: Port
    """The port of its gRPC server."""
    advertise_host: str
    """What it tells the registry; the gateway must be able to reach it. `auto`: the address from which this machine reaches etcd."""
    metrics_port: Port
    """The port of its `/metrics`."""
    stop_grace_s: Seconds
    """Running calls get this long to finish on SIGTERM."""
    max_concurrent_calls: Count
    """How many calls are answered at once; the next is refused at once with 429."""
    max_concurrent_streams: Count
    """How many uploads and WebSocket streams run at once, apart from the calls."""


class ServiceProcessSettings(ProcessSettings):
    """Every service registers; its own section is named after it."""

    etcd: EtcdSettings
    rpc: RpcSettings
    tracing: TracingSettings


SettingsT = TypeVar("SettingsT", bound=ServiceProcessSettings)
HandlerT = TypeVar("HandlerT")


@dataclass(frozen=True)
class Composition(Generic[HandlerT]):
    """What a service's `compose` hands over: its handler and what runs beside it."""

    handler: HandlerT
    background: Sequence[Background] = field(default=())


@dataclass(frozen=True)
class ServiceDefinition(Generic[SettingsT, HandlerT]):
    """What tells one service from another; its names come from its one service in its `.proto` file.

    `compose` opens the resources, waiting for servers that are not there yet, and yields the composition.
    """

    file: FileDescriptor
    add_to_server: Callable[[HandlerT, grpc.aio.Server], None]
    settings_class: type[SettingsT]
    compose: Callable[[SettingsT], AbstractAsyncContextManager[Composition[HandlerT]]]

    @property
    def descriptor(self) -> ServiceDescriptor:
        """The service as protobuf describes it; its name is the one in the registry."""
        (descriptor,) = self.file.services_by_name.values()
        return descriptor

    @property
    def name(self) -> str:
        """Its section in the settings and its name in the logs: "user" for UserService."""
        return self.descriptor.name.removesuffix("Service").lower()


def run_service(definition: ServiceDefinition[Any, Any]) -> None:
    """Run a service until SIGTERM; exit 2 on settings that cannot be used, 1 when something died."""
    try:
        settings = definition.settings_class.load()
        check_own_certificate(settings.rpc, definition.name)
    except SettingsError as exc:
        sys.stderr.write(f"{exc}\n")
        sys.exit(2)
    setup_logging(settings.log, process=definition.name)
    tell_build(definition.name)
    own: ServiceSettings = getattr(settings, definition.name)
    try:
        with (
            metrics_server(own.host, own.metrics_port),
            tracing(settings.tracing, process=definition.name),
        ):
            uvloop.run(_run(definition, settings, own))
    except Exception as exc:  # noqa: BLE001 - logged once, with its traceback
        logger.opt(exception=exc).error("service died")
        sys.exit(1)
    logger.info("service stopped")


async def _run(
    definition: ServiceDefinition[Any, Any], settings: ServiceProcessSettings, own: ServiceSettings
) -> None:
    stop = stop_on_signals()
    resources = definition.compose(settings)
    composition = await _open_unless_stopped(resources, stop)
    if composition is None:
        return
    collect_less_often()
    try:
        with measured_loop_lag():
            await _serve(definition, composition, stop, settings=settings, own=own)
    finally:
        await resources.__aexit__(None, None, None)


async def _open_unless_stopped(
    resources: AbstractAsyncContextManager[Composition[Any]], stop: asyncio.Event
) -> Composition[Any] | None:
    opening = asyncio.create_task(resources.__aenter__())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({opening, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if opening.done():
        return opening.result()
    opening.cancel()
    await asyncio.wait({opening})
    return None


async def _serve(
    definition: ServiceDefinition[Any, Any],
    composition: Composition[Any],
    stop: asyncio.Event,
    *,
    settings: ServiceProcessSettings,
    own: ServiceSettings,
) -> None:
    admission = Admission(
        max_calls=own.max_concurrent_calls, max_streams=own.max_concurrent_streams
    )
    server = grpc.aio.server(interceptors=[ErrorInterceptor(admission)], options=SERVER_OPTIONS)
    add_to_server = partial(definition.add_to_server, composition.handler)
    add_to_server(server)
    together = serve_together(server, add_to_server, admission)
    health_servicer = _add_standard_services(server, definition.descriptor.full_name)
    address = f"{own.host}:{own.port}"
    add_port(server, address, settings.rpc)
    await server.start()
    await _set_health(health_servicer, definition, SERVING)
    logger.bind(address=address).info("serving")
    advertised = f"{own.advertise_host}:{own.port}"
    registration = Registration(
        settings.etcd, service=definition.descriptor.name, address=advertised
    )
    stop_background = asyncio.Event()
    try:
        async with asyncio.TaskGroup() as tasks:
            for run in composition.background:
                tasks.create_task(_run_to_end(run, stop_background))
            registered = tasks.create_task(_run_to_end(registration.run, stop))
            await stop.wait()
            await asyncio.wait({registered}, timeout=own.stop_grace_s)
            await _set_health(health_servicer, definition, STOPPED)
            await _finish_calls(server, together, grace_s=own.stop_grace_s)
            stop_background.set()
    finally:
        stop_background.set()
        await server.stop(own.stop_grace_s)


async def _finish_calls(server: grpc.aio.Server, together: ManyServicer, *, grace_s: float) -> None:
    """Let clients see that the instance goes, and end what they began until then."""
    await asyncio.sleep(DISCOVERY_DELAY_S)
    together.stop()
    await server.stop(grace_s)


async def _run_to_end(run: Background, stop: asyncio.Event) -> None:
    await run(stop)
    if not stop.is_set():
        raise RuntimeError(f"background task {run!r} ended by itself")


def _add_standard_services(server: grpc.aio.Server, service: str) -> health.aio.HealthServicer:
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    names = (service, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
    return servicer


async def _set_health(
    servicer: health.aio.HealthServicer,
    definition: ServiceDefinition[Any, Any],
    status: health_pb2.HealthCheckResponse.ServingStatus.ValueType,
) -> None:
    for name in (health.OVERALL_HEALTH, definition.descriptor.full_name):
        await servicer.set(name, status)
