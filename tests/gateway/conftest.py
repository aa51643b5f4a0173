"""A real gateway on a free port, in front of services whose answers a test sets."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from fastapi import FastAPI
from hypothesis import settings

from gateway.app import create_app
from gateway.clients import make_clients
from gateway.server import Server, make_server
from gateway.settings import GatewaySettings
from pkg.settings import DEFAULT_CONFIG_DIR, read_section
from pkg.token import TokenIssuer, TokenSettings, TokenVerifier
from scripts.stack.plain_http import NO_CERTIFICATES
from tests.eventually import eventually
from tests.gateway.fakes import FakeServices

VIEWER_ID = 41
# The machine may be busy: how long an example takes says nothing.
settings.register_profile("gateway", deadline=None)
settings.load_profile("gateway")


@dataclass
class RunningGateway:
    """Where a gateway listens, and the application behind it."""

    port: int
    app: Any
    server: Server
    client: httpx.AsyncClient

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


StartGateway = Callable[..., AbstractAsyncContextManager[RunningGateway]]


@pytest.fixture(scope="session")
def token_settings(tmp_path_factory: pytest.TempPathFactory) -> TokenSettings:
    return make_token_keys(tmp_path_factory.mktemp("keys"))


def make_token_keys(directory: Path) -> TokenSettings:
    key = Ed25519PrivateKey.generate()
    private, public = directory / "private.pem", directory / "public"
    public.mkdir()
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (public / "k1.pem").write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    return TokenSettings(
        issuer="dousheng",
        lifetime_s=600,
        key_id="k1",
        public_keys_dir=public,
        private_key_file=private,
    )


def make_settings(spool_dir: Path, **changes: Any) -> GatewaySettings:
    """Return the shipped settings with these changes; rate limits are off unless told."""
    section = deepcopy(_read_shipped_settings())
    section |= {"port": 1, "spool_dir": spool_dir, "stop_grace_s": 3}
    section["rate_limit"] |= {"enabled": False, **changes.pop("rate_limit", {})}
    return GatewaySettings(**(section | changes))


@cache
def _read_shipped_settings() -> dict[str, Any]:
    return read_section(DEFAULT_CONFIG_DIR, "gateway")


@pytest.fixture(scope="session")
def issuer(token_settings: TokenSettings) -> TokenIssuer:
    return TokenIssuer(token_settings)


@pytest.fixture(scope="session")
def token(issuer: TokenIssuer) -> str:
    return issuer.issue(VIEWER_ID)


@pytest.fixture
async def services() -> AsyncIterator[FakeServices]:
    services = FakeServices()
    await services.start()
    yield services
    await services.stop()


@pytest.fixture
def start_gateway(
    services: FakeServices, token_settings: TokenSettings, tmp_path: Path
) -> StartGateway:
    """Start a gateway whose settings differ from the shipped ones as told; rate limits are off unless told."""

    @asynccontextmanager
    async def start(
        *, reachable: bool = True, max_upload_mb: int = 50, **changes: Any
    ) -> AsyncIterator[RunningGateway]:
        gateway_settings = make_settings(**({"spool_dir": tmp_path} | changes))
        max_upload_bytes = max_upload_mb * 1024 * 1024
        clients = make_clients(
            longest_upload_s=gateway_settings.hand_over_time_s(max_upload_bytes),
            calls_together=gateway_settings.calls_together,
        )
        if reachable:
            for _, service in clients.named():
                service.use(frozenset({services.address}))
        app = create_app(
            gateway_settings,
            clients,
            TokenVerifier(token_settings),
            max_upload_bytes=max_upload_bytes,
        )
        server = make_server(app, gateway_settings)
        server.config.port = 0
        serving = asyncio.create_task(server.serve())
        await eventually(lambda: server.started, interval_s=0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", timeout=15, verify=NO_CERTIFICATES
        ) as client:
            yield RunningGateway(port, app, server, client)
        await _stop(server, serving)
        # A channel that lives on keeps calling its port, on which the next test's services may listen.
        await asyncio.gather(*(service.close() for _, service in clients.named()))

    return start


async def _stop(server: Server, serving: asyncio.Task[None]) -> None:
    """Stop at once; a clean stop waits twice for 0.1 s, and the tests of processes have it already."""
    serving.cancel()
    with suppress(asyncio.CancelledError):
        await serving
    for listener in server.servers:
        listener.close()
    for connection in list(server.server_state.connections):
        connection.shutdown()
    for task in server.server_state.tasks:
        task.cancel()


@pytest.fixture(scope="session")
def app(token_settings: TokenSettings, tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    """An application that is not served, for what can be asked without a request."""
    return create_app(
        make_settings(tmp_path_factory.mktemp("spool")),
        make_clients(longest_upload_s=1, calls_together=True),
        TokenVerifier(token_settings),
        max_upload_bytes=1,
    )


@pytest.fixture
async def gateway(start_gateway: StartGateway) -> AsyncIterator[RunningGateway]:
    async with start_gateway() as running:
        yield running


@pytest.fixture
def client(gateway: RunningGateway) -> httpx.AsyncClient:
    return gateway.client
