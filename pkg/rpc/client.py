"""A client of one service on all of its instances, found through etcd.

Unary calls travel together on a line to each instance (`many/`). Uploads and streams, and all calls where lines are switched off, have
a channel that balances round robin over the addresses that the registry knows and is replaced when they change; the old one finishes
its calls. Calls that are safe to repeat are tried on another instance when the transport fails.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar, cast

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from loguru import logger

from pkg import metrics
from pkg.errors import DependencyUnavailable, DomainError
from pkg.registry import EtcdSettings, follow_instances
from pkg.rpc.many.lines import Lines
from pkg.rpc.metadata import NO_METADATA
from pkg.rpc.method import Method, MethodChannel, RawReply
from pkg.rpc.status import ANSWERED, describe_code
from pkg.rpc.tls import make_channel
from pkg.tls import Renewal, TlsFiles
from pkg.tracing import record_call

StubT = TypeVar("StubT")
RequestT = TypeVar("RequestT")
ReplyT = TypeVar("ReplyT")

CHANNEL_OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 3_000),
]
RETRY_POLICY = {
    "maxAttempts": 4,
    "initialBackoff": "0.05s",
    "maxBackoff": "0.4s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}


class ServiceClient(Generic[StubT]):
    """Holds the stub of one service; `follow` keeps it pointed at the living instances.

    Args:
        service: full protobuf name, "dousheng.UserService"; its last part is the name in the registry.
        unrepeatable: methods that must not be sent twice.
        longest_call_s: how long a call may go on after the set of instances has changed.
        together: whether unary calls travel together; else each by itself.
        tls: how instances prove that they are of this service, and we who we are; None: plain text.
    """

    def __init__(
        self,
        service: str,
        make_stub: Callable[[grpc.aio.Channel], StubT],
        *,
        methods: Sequence[str],
        unrepeatable: frozenset[str] = frozenset(),
        longest_call_s: float = 5,
        together: bool = True,
        tls: TlsFiles | None = None,
    ) -> None:
        self.service = service
        self._make_stub = make_stub
        self._unrepeatable = unrepeatable
        self._longest_call_s = longest_call_s
        self._lines = Lines(self._connect, longest_call_s=longest_call_s) if together else None
        self._config = _service_config(service, [m for m in methods if m not in unrepeatable])
        self._channel: grpc.aio.Channel | None = None
        self._addresses: frozenset[str] = frozenset()
        self._tls = tls
        self._renewal = Renewal(tls) if tls else None
        self._stub: StubT | None = None
        self._known = asyncio.Event()
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        """The service's name in settings and metrics: "user" for UserService."""
        return self.service.rpartition(".")[2].removesuffix("Service").lower()

    @property
    def stub(self) -> StubT:
        """The stub on the current instances.

        Raises:
            DependencyUnavailable: no instance was ever found.
        """
        if self._stub is None:
            raise DependencyUnavailable(detail=f"no instance of {self.service}")
        return self._stub

    async def follow(self, settings: EtcdSettings) -> None:
        """Follow the registry until cancelled, then close the channel."""
        try:
            await follow_instances(settings, self.service.rpartition(".")[2], self.use)
        finally:
            await self.close()

    async def close(self) -> None:
        """Let running calls finish and close every channel."""
        self._retire_channel()
        if self._lines is not None:
            await self._lines.close()
        await asyncio.gather(*self._closing)

    def use(self, addresses: frozenset[str]) -> None:
        """Send the following calls to `addresses`; none keeps the last ones, which may come back.

        Told the same ones again, as the registry does now and then, it looks whether its certificate was renewed.
        """
        if not addresses:
            return
        is_renewed = self._is_certificate_renewed()
        if addresses == self._addresses and not is_renewed:
            return
        logger.bind(service=self.service, addresses=sorted(addresses)).info("instances changed")
        metrics.RPC_INSTANCES.labels(self.name).set(len(addresses))
        self._retire_channel()
        self._addresses = addresses
        self._channel = make_channel(
            "ipv4:" + ",".join(sorted(addresses)),
            self.service,
            self._tls,
            options=[*CHANNEL_OPTIONS, ("grpc.service_config", self._config)],
        )
        if self._lines is not None:
            if is_renewed:
                self._lines.use(frozenset())
            self._lines.use(addresses)
        methods: Any = MethodChannel(self._channel, self._lines, unrepeatable=self._unrepeatable)
        self._stub = self._make_stub(methods)
        self._known.set()

    async def wait_known(self) -> None:
        """Wait until an instance is known."""
        await self._known.wait()

    async def is_serving(self, *, timeout_s: float) -> bool:
        """Return whether an instance answers its health check in time."""
        if self._channel is None:
            return False
        request = health_pb2.HealthCheckRequest(service=self.service)
        try:
            reply = await health_pb2_grpc.HealthStub(self._channel).Check(
                request, timeout=timeout_s
            )
        except grpc.aio.AioRpcError:
            return False
        return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)

    def _connect(self, address: str) -> grpc.aio.Channel:
        return make_channel(f"ipv4:{address}", self.service, self._tls, options=CHANNEL_OPTIONS)

    def _is_certificate_renewed(self) -> bool:
        return self._renewal is not None and self._renewal.has_come()

    def _retire_channel(self) -> None:
        if self._channel is not None:
            task = asyncio.create_task(self._channel.close(self._longest_call_s))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
            self._channel = None


async def call(
    method: grpc.aio.UnaryUnaryMultiCallable[RequestT, ReplyT],
    request: RequestT,
    *,
    timeout_s: float,
    metadata: Mapping[str, str] = NO_METADATA,
) -> ReplyT:
    """Make one unary call under a deadline, with the request id of this context.

    Args:
        method: of a stub of `ServiceClient`.

    Raises:
        DomainError: what the service raised, or DependencyUnavailable or DeadlineExceeded.
    """
    reply = await call_raw(method, request, timeout_s=timeout_s, metadata=metadata)
    return cast("Method", method).parse(reply.content)  # type: ignore[no-any-return]


async def call_raw(
    method: grpc.aio.UnaryUnaryMultiCallable[RequestT, Any],
    request: RequestT,
    *,
    timeout_s: float,
    metadata: Mapping[str, str] = NO_METADATA,
) -> RawReply:
    """Make the call of `call`, and return the reply as it travels."""
    sendable = cast("Method", method)
    with observe_call(sendable.name) as outcome:
        try:
            content = await sendable.send(
                sendable.serialize(request), timeout_s=timeout_s, metadata=metadata
            )
        except DomainError as exc:
            outcome.code = exc.grpc_code
            raise
    return RawReply(sendable.reply_type, content)


class observe_call:  # noqa: N801 - used as a context manager
    """Time one RPC for the metrics and the trace; set `code` before leaving with an error."""

    def __init__(self, method: str) -> None:
        self._method = method
        self.code = grpc.StatusCode.OK

    def __enter__(self) -> "observe_call":
        self._began_ns = time.perf_counter_ns()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, _exc: BaseException | None, _traceback: object
    ) -> None:
        error = None
        if exc_type is asyncio.CancelledError:
            self.code = grpc.StatusCode.CANCELLED
        elif exc_type is not None:
            error = exc_type.__name__
        ended_ns = time.perf_counter_ns()
        seconds = (ended_ns - self._began_ns) / 1e9
        metrics.observe(metrics.RPC_CALLED, seconds, self._method, self.code.name)
        is_answered = self.code is grpc.StatusCode.OK
        attributes = ANSWERED if is_answered else describe_code(self.code)
        record_call(self._method, self._began_ns, ended_ns, attributes=attributes, error=error)


def _service_config(service: str, repeatable: Sequence[str]) -> str:
    return json.dumps(
        {
            "loadBalancingConfig": [{"round_robin": {}}],
            "methodConfig": [
                {
                    "name": [{"service": service, "method": method} for method in repeatable],
                    "retryPolicy": RETRY_POLICY,
                }
            ],
        }
    )
