"""What all requests of this process share."""

from dataclasses import dataclass

from starlette.requests import HTTPConnection

from gateway.clients import Clients
from gateway.media_urls import MediaUrls
from gateway.newest_feed import NewestFeed
from gateway.rate_limit import RequestLimits
from gateway.readiness import Readiness
from gateway.replies import Replies
from gateway.settings import GatewaySettings
from gateway.slots import GatewaySlots
from pkg.spool import Spool
from pkg.token import TokenVerifier


@dataclass(frozen=True)
class GatewayState:
    """Made once by `create_app`; lives in `app.state.gateway`."""

    settings: GatewaySettings
    max_upload_bytes: int
    clients: Clients
    tokens: TokenVerifier
    limits: RequestLimits
    media_urls: MediaUrls
    slots: GatewaySlots
    spool: Spool
    newest_feed: NewestFeed
    replies: Replies
    readiness: Readiness


def get_state(connection: HTTPConnection) -> GatewayState:
    """Return the state of the application that serves this request."""
    state: GatewayState = connection.app.state.gateway
    return state
