"""The viewer: the person for whom a request is answered."""

from dataclasses import dataclass

from starlette.requests import HTTPConnection

from gateway.clients import Clients
from gateway.state import GatewayState


@dataclass(frozen=True)
class Viewer:
    """Who makes one request; `user_id` 0 and an empty `token` are the anonymous viewer."""

    state: GatewayState
    connection: HTTPConnection
    user_id: int = 0
    token: str = ""

    @property
    def clients(self) -> Clients:
        """The six services."""
        return self.state.clients

    @property
    def media_base(self) -> str:
        """What stands in front of media paths for this viewer."""
        return self.state.media_urls.base_for(self.connection.scope)
