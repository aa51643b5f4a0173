"""Who uploads, and which slot they hold meanwhile: a few for those who have not shown a token, the others by user and network."""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

from starlette.requests import Request

from gateway.authentication import authenticate, count_request, find_bearer_token
from gateway.middleware import address_of
from gateway.slots import GiveWay, Slot, giving_way
from gateway.state import get_state
from gateway.viewer import Viewer
from pkg.errors import Unauthenticated
from pkg.networks import network_of


@asynccontextmanager
async def enter_upload(request: Request, query_token: str) -> AsyncIterator["UploadEntry"]:
    """Run a block that receives an upload, which holds a slot meanwhile.

    Raises:
        RateLimited: there was no slot, or it had to be given to a network that has fewer.
    """
    async with giving_way() as give_way:
        with UploadEntry(request, query_token, give_way) as entry:
            yield entry


class UploadEntry:
    """One upload on its way in; a context manager that holds its slot.

    The first token found wins: of the query, of the form, of the header. A token of the query or the header is verified
    before a slot is taken; the form's may be its last field, and until it has come the upload is one of the unknown.

    Raises (on entry and by `identify`):
        Unauthenticated: the token that counts is no good.
        RateLimited: no slot is free for this network or this user, or the user calls too often.
    """

    def __init__(self, request: Request, query_token: str, give_way: GiveWay) -> None:
        self._request = request
        self._query_token = query_token
        self._give_way = give_way
        self._slots = get_state(request).slots
        self._held = ExitStack()
        self._slot: Slot | None = None
        self._viewer: Viewer | None = None

    def __enter__(self) -> "UploadEntry":
        if self._query_token:
            self._admit(authenticate(self._request, self._query_token))
            return self
        try:
            self._admit(authenticate(self._request, find_bearer_token(self._request)))
        except Unauthenticated:
            self._hold_as_unknown()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._held.close()

    def identify(self, form_token: str) -> None:
        """Take the form's token, which has just come, unless the query has one."""
        is_known = self._viewer is not None and self._viewer.token == form_token
        if not self._query_token and not is_known:
            self._admit(authenticate(self._request, form_token))

    def require_viewer(self) -> Viewer:
        """Return who uploads, once the form has come as a whole.

        Raises:
            Unauthenticated: no token came.
        """
        if self._viewer is None or self._slot is None:
            raise Unauthenticated
        # What has arrived as a whole is not given up any more.
        self._slot.give_way = None
        return self._viewer

    def _hold_as_unknown(self) -> None:
        network = network_of(address_of(self._request.scope))
        self._held.enter_context(self._slots.unknown_uploads.take(network, self._give_way))

    def _admit(self, viewer: Viewer) -> None:
        count_request(viewer)
        # The slot of the unknown comes back first; so does that of the header's user where the form names another.
        self._held.close()
        address = address_of(self._request.scope)
        slot = self._slots.uploads.take(viewer.user_id, address, self._give_way)
        self._slot = self._held.enter_context(slot)
        self._viewer = viewer
