"""Accounts."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from gateway import schemas
from gateway.authentication import AnonymousViewer, OptionalViewer
from gateway.middleware import address_of
from gateway.parameters import ProperText, UserIdOrNone
from gateway.relay import relay
from pkg.errors import Unauthenticated
from pkg.rpc.metadata import CLIENT_ADDRESS_KEY
from protos.user_pb2 import LoginRequest, RegisterRequest, UserInfoRequest

router = APIRouter(prefix="/douyin/user", tags=["user"])

NOBODY = 0  # no id: `user_id` was left out, and means the viewer to the service as well
UserName = Annotated[str, Query(description="1 to 32 characters; unique.")]
Password = Annotated[str, Query(description="1 to 32 characters.")]


@router.post("/register/", response_model=schemas.SessionReply, dependencies=[ProperText])
async def register(viewer: AnonymousViewer, username: UserName, password: Password) -> Response:
    """Create an account; many registrations from one network are slowed down with 429."""
    address = address_of(viewer.connection.scope)
    viewer.state.limits.check_registration(address)
    request = RegisterRequest(username=username, password=password)
    return await relay(
        viewer,
        viewer.clients.user.stub.Register,
        request,
        metadata={CLIENT_ADDRESS_KEY: address},
    )


@router.post("/login/", response_model=schemas.SessionReply, dependencies=[ProperText])
async def login(viewer: AnonymousViewer, username: UserName, password: Password) -> Response:
    """Get a token; repeated failures are slowed down with 429."""
    address = {CLIENT_ADDRESS_KEY: address_of(viewer.connection.scope)}
    request = LoginRequest(username=username, password=password)
    return await relay(viewer, viewer.clients.user.stub.Login, request, metadata=address)


@router.get("/", response_model=schemas.UserReply)
async def user_info(viewer: OptionalViewer, user_id: UserIdOrNone = NOBODY) -> Response:
    """Show a user as the viewer sees them; without `user_id` the viewer, whose token is required then."""
    if user_id == NOBODY and not viewer.user_id:
        raise Unauthenticated
    request = UserInfoRequest(user_id=user_id, token=viewer.token)
    return await relay(viewer, viewer.clients.user.stub.UserInfo, request)
