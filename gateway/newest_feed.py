"""The first page of the feed for viewers without an account: one reply serves all who ask at the same moment.

It is the same for all of them but for the media base, and most of what a launch day brings. See pkg/batching.py: nobody gets a reply
that is older than their request.
"""

from starlette.responses import Response

from gateway.clients import Clients
from gateway.errors import JSON
from gateway.replies import render_body
from pkg.batching import Batcher
from pkg.rpc.client import call
from protos.video_pb2 import FeedRequest


class NewestFeed:
    """Shares the calls and the rendered replies."""

    def __init__(self, clients: Clients, *, timeout_s: float) -> None:
        self._clients = clients
        self._timeout_s = timeout_s
        self._bodies = Batcher(self._load)

    async def reply(self, media_base: str) -> Response:
        """Return the reply for viewers who load media from `media_base`.

        Raises:
            DomainError: what the service says, or that it does not answer.
        """
        bodies = await self._bodies.get([media_base])
        return Response(bodies[media_base], media_type=JSON)

    async def _load(self, media_bases: set[str]) -> dict[str, bytes]:
        stub = self._clients.video.stub
        reply = await call(stub.Feed, FeedRequest(), timeout_s=self._timeout_s)
        return {base: render_body(reply, media_base=base) for base in media_bases}
