"""The gRPC edge of UserService."""

from dataclasses import dataclass
from typing import Any

import grpc

from pkg.rpc.metadata import CLIENT_ADDRESS_KEY
from pkg.token import TokenIssuer
from protos import user_pb2_grpc
from protos.user_pb2 import (
    LoginReply,
    LoginRequest,
    RegisterReply,
    RegisterRequest,
    UserInfoReply,
    UserInfoRequest,
)
from services.cards import make_reply
from services.identity import Viewers
from services.presenters import Presenter
from services.user.accounts import Accounts

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class UserHandler(user_pb2_grpc.UserServiceServicer):
    """Answers UserService; errors are raised and translated by the interceptor."""

    accounts: Accounts
    presenter: Presenter
    issuer: TokenIssuer
    viewers: Viewers

    async def Register(self, request: RegisterRequest, context: Context) -> RegisterReply:
        user_id = await self.accounts.register(
            request.username, request.password, address=_client_address(context)
        )
        return RegisterReply(user_id=user_id, token=self.issuer.issue(user_id))

    async def Login(self, request: LoginRequest, context: Context) -> LoginReply:
        user_id = await self.accounts.login(
            request.username, request.password, address=_client_address(context)
        )
        return LoginReply(user_id=user_id, token=self.issuer.issue(user_id))

    async def UserInfo(self, request: UserInfoRequest, context: Context) -> UserInfoReply:
        if request.user_id:
            viewer_id = await self.viewers.find(request.token)
            card = await self.presenter.get_user_card(request.user_id, viewer_id)
        else:
            viewer_id = await self.viewers.require(request.token)
            card = await self.presenter.get_user_card(viewer_id, viewer_id)
        return make_reply(UserInfoReply, user=card)


def _client_address(context: Context) -> str:
    """Return whose address the gateway saw, or the caller's own where there was no gateway."""
    for key, value in context.invocation_metadata() or ():
        if key == CLIENT_ADDRESS_KEY and isinstance(value, str):
            return value
    # "ipv4:127.0.0.1:54321"
    return context.peer().partition(":")[2].rpartition(":")[0]
