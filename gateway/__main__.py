"""`python -m gateway`: settings, logs, then serve until SIGTERM."""

import asyncio
import sys

import uvloop
from loguru import logger

from gateway.app import create_app
from gateway.clients import make_clients
from gateway.middleware import REQUEST_SERVED
from gateway.server import make_server
from gateway.settings import GatewayProcessSettings
from pkg.garbage import collect_less_often
from pkg.log import setup_logging
from pkg.loop_lag import measured_loop_lag
from pkg.metrics import tell_build
from pkg.settings import SettingsError
from pkg.token import TokenVerifier
from pkg.tracing import tracing

# Without etcd, or without one of the services, the others are served after this time.
WAIT_FOR_SERVICES_S = 2


def main() -> None:
    """Run the gateway; exit 2 on settings that cannot be used, 1 when something died."""
    try:
        settings = GatewayProcessSettings.load()
        tokens = TokenVerifier(settings.token)
        settings.gateway.spool_dir.mkdir(parents=True, exist_ok=True)
    except (SettingsError, OSError) as exc:
        sys.stderr.write(f"{exc}\n")
        sys.exit(2)
    setup_logging(settings.log, process="gateway")
    tell_build("gateway")
    try:
        with tracing(settings.tracing, process="gateway"):
            uvloop.run(run_gateway(settings, tokens))
    except Exception as exc:  # noqa: BLE001 - said once, with its traceback
        logger.opt(exception=exc).error("gateway died")
        sys.exit(1)
    logger.info("gateway stopped")


async def run_gateway(settings: GatewayProcessSettings, tokens: TokenVerifier) -> None:
    """Serve until a signal; end with an error when the registry can no longer be followed."""
    max_upload_bytes = settings.upload.max_bytes
    clients = make_clients(
        longest_upload_s=settings.gateway.hand_over_time_s(max_upload_bytes),
        calls_together=settings.gateway.calls_together,
        tls=settings.rpc.tls,
    )
    app = create_app(settings.gateway, clients, tokens, max_upload_bytes=max_upload_bytes)
    server = make_server(app, settings.gateway)
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(clients.follow(settings.etcd))
        # Whoever listens gets requests: not before there is somebody to answer them.
        await clients.wait_known(at_most_s=WAIT_FOR_SERVICES_S)
        collect_less_often()
        logger.bind(host=settings.gateway.host, port=settings.gateway.port).info("serving")
        with measured_loop_lag():
            await server.serve()
        REQUEST_SERVED.write()
        following.cancel()


if __name__ == "__main__":
    main()
