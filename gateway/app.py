"""The application: endpoints, their shared state, and the one middleware."""

from typing import NoReturn

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from gateway.clients import Clients
from gateway.endpoints import plan_endpoints
from gateway.errors import add_error_handlers
from gateway.fragments import FragmentCache
from gateway.media_urls import MediaUrls
from gateway.middleware import GatewayMiddleware
from gateway.newest_feed import NewestFeed
from gateway.openapi import describe
from gateway.rate_limit import RequestLimits
from gateway.readiness import Readiness
from gateway.replies import Replies
from gateway.routes import comment, docs, favorite, health, message, relation, user, video, web
from gateway.settings import GatewaySettings
from gateway.slots import make_slots
from gateway.state import GatewayState
from pkg.errors import RouteNotFound
from pkg.spool import Spool
from pkg.token import TokenVerifier


def create_app(
    settings: GatewaySettings, clients: Clients, tokens: TokenVerifier, *, max_upload_bytes: int
) -> FastAPI:
    """Return the gateway's application; it starts nothing and connects to nothing by itself."""
    app = FastAPI(
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        # pkg/tracing is ours, and asking each time whether there is another costs as much as a route.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    limits = RequestLimits(settings.rate_limit)
    replies = Replies(FragmentCache(settings.card_cache_mb * 1024 * 1024))
    app.state.gateway = GatewayState(
        settings=settings,
        max_upload_bytes=max_upload_bytes,
        clients=clients,
        tokens=tokens,
        limits=limits,
        media_urls=MediaUrls(base_url=settings.media_base_url, port=settings.media_port),
        slots=make_slots(settings),
        spool=Spool(settings.spool_dir, settings.spool),
        newest_feed=NewestFeed(clients, replies, timeout_s=settings.rpc_timeout_s),
        replies=replies,
        readiness=Readiness(clients, timeout_s=settings.ready_timeout_s),
    )
    # One flat list: an included router would be searched, and its paths put together, at every request.
    for module in (user, video, favorite, comment, relation, message, health, docs, web):
        app.router.routes.extend(module.router.routes)
    app.router.default = _refuse_unknown_route
    endpoints = plan_endpoints(app.router.routes)
    app.add_middleware(GatewayMiddleware, limits=limits, endpoints=endpoints)
    add_error_handlers(app)
    describe(app)
    return app


async def _refuse_unknown_route(_scope: Scope, _receive: Receive, _send: Send) -> NoReturn:
    raise RouteNotFound
