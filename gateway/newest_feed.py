"""The first page of the feed for anonymous viewers: one reply serves all who ask at the same moment.

It is the same for all of them but for the media base, and most of what a launch day brings. See pkg/single_flight.py:
nobody gets a reply that is older than their request.
"""

from starlette.responses import Response

from gateway.clients import Clients
from gateway.errors import JSON
from gateway.replies import Replies
from pkg.rpc.client import call_raw
from pkg.rpc.method import RawReply
from pkg.single_flight import SingleFlight
from protos.video_pb2 import FeedRequest


class SharedReply:
    """One reply of the service, rendered once for each media base under which it is wanted."""

    def __init__(self, reply: RawReply, replies: Replies) -> None:
        self._reply = reply
        self._replies = replies
        self._bodies: dict[str, bytes] = {}

    def body_for(self, media_base: str) -> bytes:
        """Return the body for viewers who load media from `media_base`."""
        if media_base not in self._bodies:
            self._bodies[media_base] = self._replies.render_body(self._reply, media_base=media_base)
        return self._bodies[media_base]


class NewestFeed:
    """Shares the calls and the rendered replies."""

    def __init__(self, clients: Clients, replies: Replies, *, timeout_s: float) -> None:
        self._clients = clients
        self._replies = replies
        self._timeout_s = timeout_s
        self._newest = SingleFlight(self._ask)

    async def reply(self, media_base: str) -> Response:
        """Return the reply for viewers who load media from `media_base`.

        Raises:
            DomainError: what the service says, or that it does not answer.
        """
        shared = await self._newest.get()
        return Response(shared.body_for(media_base), media_type=JSON)

    async def _ask(self) -> SharedReply:
        stub = self._clients.video.stub
        reply = await call_raw(stub.Feed, FeedRequest(), timeout_s=self._timeout_s)
        return SharedReply(reply, self._replies)
