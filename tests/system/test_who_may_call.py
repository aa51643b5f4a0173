"""Each RPC of each service is called directly, past the gateway: what acts for somebody wants the token of that somebody."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc.status_pb2 import Status

from pkg.token import TokenIssuer
from protos.calls_pb2 import Call, Calls
from protos.calls_pb2_grpc import CallServiceStub
from scripts.stack.site import REPOSITORY
from tests.conftest import AllSettings
from tests.system.app import App
from tests.system.system import System

FILES = [
    importlib.import_module(f"protos.{path.stem}_pb2")
    for path in sorted((REPOSITORY / "protos").glob("*.proto"))
]
METHODS: dict[str, MethodDescriptor] = {
    f"{service.name}.{method.name}": method
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
NOBODY = 2**52

# Act for the owner of the token, or show what is theirs alone; with a request that would do something.
ACTING: dict[str, dict[str, Any]] = {
    "CommentService.CommentAction": {"video_id": 1, "action_type": 1, "comment_text": "你好"},
    "CommentService.CommentFavorite": {"comment_id": 1, "action_type": 1},
    "FavoriteService.FavoriteAction": {"video_id": 1, "action_type": 1},
    "MessageService.MessageAction": {"to_user_id": 1, "action_type": 1, "content": "你好"},
    "MessageService.MessageChat": {"to_user_id": 1},
    "MessageService.MessageStream": {"to_user_id": 1},
    "RelationService.RelationAction": {"to_user_id": 1, "action_type": 1},
    "RelationService.RelationFriendList": {"user_id": "own"},
    "UserService.UserInfo": {},
    "VideoService.PublishAction": {"title": "x", "size": 1, "data": b"x"},
    "VideoService.PublishStatus": {},
}
# Show what everybody may see; a token only tells whose hearts are red.
PUBLIC: dict[str, dict[str, Any]] = {
    "CommentService.CommentList": {"video_id": 1},
    "FavoriteService.FavoriteList": {"user_id": "own"},
    "RelationService.RelationFollowList": {"user_id": "own"},
    "RelationService.RelationFollowerList": {"user_id": "own"},
    "UserService.UserInfo": {"user_id": "own"},
    "VideoService.Feed": {"latest_time": 1},
    "VideoService.PublishList": {"user_id": "own"},
}
# Ask for a name and a password instead of a token.
WITH_A_PASSWORD = {"UserService.Login", "UserService.Register"}
# Carries calls of the others, each with its own token.
CARRYING = {"CallService.Many"}
# Has two sides: the own card, and that of anybody.
TWO_SIDED = {"UserService.UserInfo"}


def test_every_rpc_is_known_to_act_to_be_public_or_to_ask_for_a_password() -> None:
    assert {*ACTING, *PUBLIC, *WITH_A_PASSWORD, *CARRYING} == set(METHODS)
    assert set(ACTING) & set(PUBLIC) == TWO_SIDED
    assert not (WITH_A_PASSWORD | CARRYING) & {*ACTING, *PUBLIC}


@pytest.mark.parametrize("name", METHODS)
def test_only_an_rpc_without_a_token_asks_for_a_password(name: str) -> None:
    has_token = "token" in METHODS[name].input_type.fields_by_name

    assert has_token == (name not in WITH_A_PASSWORD | CARRYING)


def is_streaming(name: str) -> bool:
    return METHODS[name].client_streaming or METHODS[name].server_streaming


def section_of(method: MethodDescriptor) -> str:
    return str(method.containing_service.name).removesuffix("Service").lower()


@dataclass(frozen=True)
class Door:
    """The services as somebody finds them who got past the gateway."""

    system: System
    owner_id: int

    def ask(self, name: str, fields: dict[str, Any], token: str) -> Message | None:
        """Call an RPC and return its reply, of a stream the first one, if it comes within a second.

        Raises:
            grpc.RpcError: it was refused.
        """
        method = METHODS[name]
        request = self._bytes(name, fields, token)
        reply_class = GetMessageClass(method.output_type)
        path = f"/{method.containing_service.full_name}/{method.name}"
        with self.system.open_channel(section_of(method)) as channel:
            if method.client_streaming:
                upload: Any = channel.stream_unary(path)
                return reply_class.FromString(upload(iter([request]), timeout=5))
            if method.server_streaming:
                follow: Any = channel.unary_stream(path)
                return next(follow(request, timeout=1), None)
            call: Any = channel.unary_unary(path, response_deserializer=reply_class.FromString)
            reply: Message = call(request, timeout=5)
            return reply

    def codes_together(self, name: str, fields: dict[str, Any], tokens: list[str]) -> list[int]:
        """Call an RPC with each token on one stream; return the codes of the outcomes, 0 for a reply."""
        method = METHODS[name]
        path = f"/{method.containing_service.full_name}/{method.name}"
        calls = [
            Call(number=n, method=path, request=self._bytes(name, fields, token), timeout_ms=5000)
            for n, token in enumerate(tokens)
        ]
        with self.system.open_channel(section_of(method)) as channel:
            replies = CallServiceStub(channel).Many(iter([Calls(calls=calls)]), timeout=10)
            results = [result for reply in replies for result in reply.results]
        by_number = {result.number: result for result in results}
        return [
            Status.FromString(by_number[n].status).code if by_number[n].HasField("status") else 0
            for n in range(len(tokens))
        ]

    def _bytes(self, name: str, fields: dict[str, Any], token: str) -> bytes:
        values = {key: self.owner_id if value == "own" else value for key, value in fields.items()}
        request = GetMessageClass(METHODS[name].input_type)(**values, token=token)
        return request.SerializeToString()

    def refusal_of(self, name: str, fields: dict[str, Any], token: str) -> grpc.StatusCode | None:
        """Return with what a call is refused; None where it is answered."""
        try:
            self.ask(name, fields, token)
        except grpc.RpcError as exc:
            return exc.code()
        return None


@pytest.fixture
async def door(system: System, author: App) -> Door:
    return Door(system, author.user_id)


@pytest.fixture
def bad_tokens(settings: AllSettings, author: App, tmp_path: Path) -> dict[str, str]:
    """Every kind of token that must not let anybody act as the author, by what is wrong with it."""
    ours = settings.token

    def issue(changes: dict[str, object], user_id: int = author.user_id) -> str:
        return TokenIssuer(ours.model_copy(update=changes)).issue(user_id)

    forged = tmp_path / "forged.pem"
    forged.write_bytes(
        Ed25519PrivateKey.generate().private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
    )
    head, body, signature = author.token.split(".")
    return {
        "none": "",
        "no token": "x",
        "of another key": issue({"private_key_file": forged}),
        "of a key that nobody knows": issue({"key_id": "k9"}),
        "of another system": issue({"issuer": "elsewhere"}),
        "expired": issue({"lifetime_s": -1}),
        "changed": f"{head}.{body}.{signature[::-1]}",
        "without a signature": f"{head}.{body}.",
        "of an account that is gone": issue({}, NOBODY),
    }


@pytest.mark.parametrize("name", ACTING)
async def test_what_acts_for_somebody_refuses_every_token_but_theirs(
    door: Door, author: App, bad_tokens: dict[str, str], name: str
) -> None:
    refused = {
        kind: door.refusal_of(name, ACTING[name], token) for kind, token in bad_tokens.items()
    }

    assert refused == dict.fromkeys(bad_tokens, UNAUTHENTICATED)
    # Whatever else is wrong with the request, it is not who asks.
    assert door.refusal_of(name, ACTING[name], author.token) is not UNAUTHENTICATED


UNARY = [name for name in ACTING if not is_streaming(name)]


@pytest.mark.parametrize("name", UNARY)
async def test_a_call_that_travels_with_others_is_refused_as_one_by_itself(
    door: Door, author: App, bad_tokens: dict[str, str], name: str
) -> None:
    codes = door.codes_together(name, ACTING[name], [*bad_tokens.values(), author.token])

    assert codes[:-1] == [UNAUTHENTICATED.value[0]] * len(bad_tokens)
    assert codes[-1] != UNAUTHENTICATED.value[0]


@pytest.mark.parametrize("name", PUBLIC)
async def test_what_is_public_shows_a_bad_token_what_it_shows_nobody(
    door: Door, bad_tokens: dict[str, str], name: str
) -> None:
    def show(token: str) -> object:
        try:
            reply = door.ask(name, PUBLIC[name], token)
        except grpc.RpcError as exc:
            return exc.code()
        assert reply is not None
        if "next_time" in METHODS[name].output_type.fields_by_name:
            reply.ClearField("next_time")  # The present time, where nothing is older.
        return reply.SerializeToString()

    shown = {kind: show(token) for kind, token in bad_tokens.items()}

    assert shown == dict.fromkeys(bad_tokens, shown["none"])
    assert shown["none"] is not UNAUTHENTICATED


async def test_with_the_token_of_somebody_else_one_sees_ones_own_things_alone(
    door: Door, author: App, phone: Callable[[], App], small_video: Path
) -> None:
    other = await phone().register()
    await author.publish(small_video)

    friends = door.refusal_of("RelationService.RelationFriendList", {"user_id": "own"}, other.token)
    uploads = door.ask("VideoService.PublishStatus", {}, other.token)
    card = door.ask("UserService.UserInfo", {}, other.token)

    assert friends is grpc.StatusCode.PERMISSION_DENIED
    assert not uploads.publish_list  # type: ignore[union-attr]
    assert card.user.id == other.user_id  # type: ignore[union-attr]
