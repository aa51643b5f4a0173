"""What an operator sees: grpcurl, metrics, health, the request id in the logs."""

import json
import subprocess
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.eventually import eventually
from tests.system.app import App, read_envelope, read_refusal
from tests.system.metrics import count_observed, count_served
from tests.system.publishing import wait_published
from tests.system.system import System

SERVICES = ("comment", "favorite", "message", "relation", "user", "video")


@dataclass(frozen=True)
class Grpcurl:
    """The tool, pointed at the services of one system."""

    system: System

    def run(self, service: str, *arguments: str, data: object = None) -> str:
        """Run it and return what it prints; it must succeed."""
        options = [] if data is None else ["-d", json.dumps(data)]
        tool = self.system.stack.site.python.with_name("grpcurl")
        address = f"127.0.0.1:{self.system.port(service)}"
        done = subprocess.run(
            [str(tool), "-plaintext", *options, address, *arguments],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def grpcurl(system: System) -> Grpcurl:
    """What a person debugs the services with."""
    return Grpcurl(system)


@pytest.mark.parametrize("service", SERVICES)
def test_grpcurl_lists_and_describes_every_service(grpcurl: Grpcurl, service: str) -> None:
    name = f"dousheng.{service.title()}Service"

    listed = grpcurl.run(service, "list").split()

    assert {name, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"} == set(
        listed
    )
    assert "rpc " in grpcurl.run(service, "describe", name)
    health = grpcurl.run(service, "grpc.health.v1.Health/Check", data={"service": name})
    assert json.loads(health) == {"status": "SERVING"}


@pytest.mark.parametrize(
    ("service", "method"),
    [
        ("user", "UserInfo"),
        ("video", "PublishList"),
        ("video", "Feed"),
        ("favorite", "FavoriteList"),
        ("comment", "CommentList"),
        ("relation", "RelationFollowList"),
        ("message", "MessageChat"),
    ],
)
async def test_grpcurl_calls_every_service(
    grpcurl: Grpcurl, author: App, *, small_video: Path, service: str, method: str
) -> None:
    request: dict[str, object] = {"user_id": author.user_id}
    if method == "Feed":
        request = {}
    elif method == "MessageChat":
        request = {"token": author.token, "to_user_id": author.user_id}
    elif method == "CommentList":
        card = await wait_published(author, await author.publish(small_video))
        request = {"video_id": card["id"]}

    reply = json.loads(
        grpcurl.run(service, f"dousheng.{service.title()}Service/{method}", data=request)
    )

    if method == "UserInfo":
        assert reply["user"]["name"] == author.name
        assert reply["user"]["id"] == str(author.user_id)


async def test_metrics_show_a_call_in_the_gateway_and_in_the_service(
    system: System, author: App, viewer: App, *, http: httpx.AsyncClient
) -> None:
    metrics = system.gateway_url + "metrics"
    service_port = system.port("user-metrics")

    async def count() -> tuple[int, int, int]:
        return (
            await count_observed(
                http,
                metrics,
                "dousheng_http_served_seconds",
                method="GET",
                route="/douyin/user/",
                status="200",
            ),
            await count_observed(
                http, metrics, "dousheng_rpc_called_seconds", method="UserInfo", code="OK"
            ),
            await count_served(http, service_port, "UserInfo"),
        )

    before = await count()
    for _ in range(3):
        await viewer.user(author.user_id)

    assert await count() == tuple(number + 3 for number in before)


async def test_metrics_are_not_for_the_world(viewer: App) -> None:
    read_refusal(await viewer.send("GET", "metrics"), 404)


@pytest.mark.parametrize("path", ["healthz", "readyz"])
async def test_health_is_told_through_the_open_port(viewer: App, path: str) -> None:
    assert (await viewer.ask("GET", path))["status_code"] == 0


async def test_the_documentation_names_every_endpoint(viewer: App) -> None:
    described = (await viewer.send("GET", "openapi.json")).json()

    assert len([path for path in described["paths"] if path.startswith("/douyin/")]) >= 18
    assert "swagger" in (await viewer.send("GET", "docs")).text.lower()


async def test_a_request_id_runs_from_the_client_into_the_logs_of_gateway_and_service(
    system: System, viewer: App
) -> None:
    request_id = f"phone-{uuid.uuid4().hex}"

    reply = await viewer.send(
        "POST",
        "douyin/user/register/",
        username=uuid.uuid4().hex[:20],
        password="password-1",
        headers={"X-Request-ID": request_id},
    )

    assert reply.headers["x-request-id"] == request_id

    async def logged() -> bool:
        return all(request_id in system.read_log(name) for name in ("gateway", "user"))

    await eventually(logged, within_s=5)


async def test_a_request_id_that_would_spoil_the_log_is_replaced(
    system: System, viewer: App
) -> None:
    reply = await viewer.send("GET", "douyin/feed/", headers={"X-Request-ID": "x" * 65})

    assert len(reply.headers["x-request-id"]) == 32


async def test_unknown_paths_and_wrong_methods_are_told_in_the_envelope(viewer: App) -> None:
    for path in ("nothing", "douyin/", "douyin/nothing/", "media/", "media/tiktok-videos/", "x%ff"):
        read_refusal(await viewer.send("GET", path), 404)
    for path in ("douyin/feed/", "douyin/user/"):
        read_refusal(await viewer.send("POST", path), 405)


async def test_a_long_text_in_the_query_passes_and_a_longer_line_is_told(viewer: App) -> None:
    passes = await viewer.send("GET", "douyin/feed/", junk="😀" * 1000)
    too_long = await viewer.send("GET", "douyin/feed/", junk="x" * 20_000)

    assert read_envelope(passes)["status_code"] == 0
    read_refusal(too_long, 414)


@pytest.mark.parametrize("bucket", ["tiktok-video-uploads", "tiktok-videos"])
async def test_what_is_not_public_cannot_be_loaded_or_listed(
    phone: Callable[[], App], system: System, bucket: str
) -> None:
    for path in (f"media/{bucket}", f"media/{bucket}/", f"media/{bucket}/unknown.mp4"):
        read_refusal(await phone().load(system.base_url + path), 404)
