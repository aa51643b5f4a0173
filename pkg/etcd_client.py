"""aetcd's client with TLS, which the package lacks: its `connect` opens plain channels alone."""

import aetcd
import grpc
from aetcd import rpc, watcher

from pkg.nodes import Node
from pkg.tls import TlsSettings

# A frozen etcd closes no connection: without pings a watch would wait on it indefinitely.
CHANNEL_OPTIONS = [
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Otherwise clients of one process share a connection, and wait together for one that hangs.
    ("grpc.use_local_subchannel_pool", 1),
]


class EtcdClient(aetcd.Client):  # type: ignore[misc] # the package has no types
    """A client of one member, with the credentials that it asks for."""

    def __init__(
        self,
        node: Node,
        *,
        tls: TlsSettings | None,
        user: str | None,
        password: str | None,
        timeout_s: float,
    ) -> None:
        super().__init__(*node, user, password, timeout=timeout_s, connect_wait_timeout=timeout_s)
        self._tls = tls

    async def connect(self) -> None:
        """Open the channel and log in, where there is a user; every other method calls this first.

        Raises:
            grpc.aio.AioRpcError: the member does not answer, or refuses the user.
        """
        if self._connected.is_set():
            return
        self.channel = self._open_channel()
        if self._username is not None:
            request = rpc.AuthenticateRequest(name=self._username, password=self._password)
            self.auth_stub = rpc.AuthStub(self.channel)
            reply = await self.auth_stub.Authenticate(request, timeout=self._timeout)
            self.metadata = (("token", reply.token),)
        self.kvstub = rpc.KVStub(self.channel)
        self.clusterstub = rpc.ClusterStub(self.channel)
        self.leasestub = rpc.LeaseStub(self.channel)
        self.maintenancestub = rpc.MaintenanceStub(self.channel)
        stub = rpc.WatchStub(self.channel)
        self._watcher = watcher.Watcher(stub, timeout=self._timeout, metadata=self.metadata)
        self._connected.set()

    def _open_channel(self) -> grpc.aio.Channel:
        target = f"{self._host}:{self._port}"
        if self._tls is None:
            return grpc.aio.insecure_channel(target, CHANNEL_OPTIONS)
        name = self._tls.server_name
        expected = [("grpc.ssl_target_name_override", name)] if name else []
        credentials = self._tls.make_channel_credentials()
        return grpc.aio.secure_channel(target, credentials, [*CHANNEL_OPTIONS, *expected])
