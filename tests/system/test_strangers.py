"""Whoever runs something else on the machine, without the files of the stack, writes nothing into any part of it."""

import http.client
import os
import socket
import ssl
import stat
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import grpc
import pika
import psutil
import pymysql
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from protos import (
    comment_pb2,
    comment_pb2_grpc,
    favorite_pb2,
    favorite_pb2_grpc,
    message_pb2,
    message_pb2_grpc,
    relation_pb2,
    relation_pb2_grpc,
    user_pb2,
    user_pb2_grpc,
    video_pb2,
    video_pb2_grpc,
)
from scripts.stack.ports import OFFSETS, SERVICES
from scripts.stack.processes import list_marked
from tests.system.system import System

HOST = "127.0.0.1"
REFUSED = {400, 401, 403, 404, 405, 501}
HTTP2_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
SETTINGS_FRAME = 4
NO_RETRY = Retry(NoBackoff(), 0)
PAGE = b"<script>alert(1)</script>"


def list_listening(system: System) -> dict[int, str]:
    """Return every port on which a process of the stack listens, and its name."""
    names = {system.port(name): name for name in OFFSETS}
    ports = {
        connection.laddr[1]
        for pid in list_marked(system.stack.site.place)
        for connection in psutil.Process(pid).net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    return {port: names.get(port, "nobody knows") for port in sorted(ports)}


def ask_http(port: int, method: str, path: str) -> tuple[int, str]:
    """Return status and text."""
    with closing(http.client.HTTPConnection(HOST, port, timeout=20)) as connection:
        connection.request(method, path, PAGE)
        reply = connection.getresponse()
        return reply.status, reply.read().decode(errors="replace")


def refuse_http(port: int, *writes: tuple[str, str]) -> None:
    """See that each of these requests is refused."""
    for method, path in writes:
        status, text = ask_http(port, method, path)
        assert status in REFUSED, (method, path, status, text[:200])


def ask_for_certificate(port: int) -> None:
    """See that gRPC is spoken neither in plain text nor with somebody who has no certificate."""
    with socket.create_connection((HOST, port), timeout=10) as plain:
        plain.sendall(HTTP2_HELLO)
        plain.shutdown(socket.SHUT_WR)
        assert not speaks_http2(plain)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with socket.create_connection((HOST, port), timeout=10) as raw:
        try:
            with context.wrap_socket(raw) as encrypted:
                encrypted.sendall(HTTP2_HELLO)
                spoken = speaks_http2(encrypted)
        except (ssl.SSLError, ConnectionError):
            spoken = False
    assert not spoken


def speaks_http2(connection: socket.socket) -> bool:
    reply = connection.recv(9)
    return len(reply) > 3 and reply[3] == SETTINGS_FRAME and reply[0] == 0


def refuse_mysql(port: int) -> None:
    for user in ("root", "", "mysql", "dousheng"):
        with pytest.raises(pymysql.err.OperationalError, match="denied"):
            pymysql.connect(host=HOST, port=port, user=user, password="")


def refuse_redis(port: int) -> None:
    for password in (None, "", "change-me"):
        with redis.Redis(host=HOST, port=port, password=password, retry=NO_RETRY) as client:
            for command in (("SET", "x", "y"), ("CONFIG", "SET", "maxmemory", "1"), ("SHUTDOWN",)):
                with pytest.raises(redis.exceptions.RedisError, match=r"(?i)auth|invalid username"):
                    client.execute_command(*command)


def refuse_rabbitmq(port: int) -> None:
    credentials = pika.PlainCredentials("guest", "guest")
    with pytest.raises(pika.exceptions.AMQPConnectionError):
        pika.BlockingConnection(
            pika.ConnectionParameters(host=HOST, port=port, credentials=credentials)
        )


def refuse_epmd(port: int) -> None:
    """See that it neither ends nor forgets the broker nor gives its name to somebody else."""
    for request in (b"k", b"sdousheng"):
        ask_epmd(port, request)
    name = b"dousheng"
    alive = b"x\x00\x01M\x00\x00\x06\x00\x05" + len(name).to_bytes(2) + name + b"\x00\x00"
    reply = ask_epmd(port, alive)
    assert reply[1] != 0, "the name was given away"
    assert b"name dousheng at port" in ask_epmd(port, b"n")


def ask_epmd(port: int, request: bytes) -> bytes:
    with socket.create_connection((HOST, port), timeout=10) as connection:
        connection.sendall(len(request).to_bytes(2) + request)
        reply = b""
        # Whoever got a name keeps the connection; the reply to that is short.
        while part := connection.recv(1000):
            reply += part
            if request.startswith(b"x"):
                break
        return reply


def refuse_service(name: str) -> Callable[[int], None]:
    calls: dict[str, Callable[[grpc.Channel], object]] = {
        "comment": lambda c: comment_pb2_grpc.CommentServiceStub(c).CommentAction(
            comment_pb2.CommentActionRequest(video_id=1, action_type=1, comment_text="x")
        ),
        "favorite": lambda c: favorite_pb2_grpc.FavoriteServiceStub(c).FavoriteAction(
            favorite_pb2.FavoriteActionRequest(video_id=1, action_type=1)
        ),
        "message": lambda c: message_pb2_grpc.MessageServiceStub(c).MessageAction(
            message_pb2.MessageActionRequest(to_user_id=1, action_type=1, content="x")
        ),
        "relation": lambda c: relation_pb2_grpc.RelationServiceStub(c).RelationAction(
            relation_pb2.RelationActionRequest(to_user_id=1, action_type=1)
        ),
        "user": lambda c: user_pb2_grpc.UserServiceStub(c).Login(
            user_pb2.LoginRequest(username="nobody has this name", password="x")
        ),
        "video": lambda c: video_pb2_grpc.VideoServiceStub(c).PublishAction(
            iter([video_pb2.PublishActionRequest(title="x", size=1, data=b"x")])
        ),
    }

    def refuse(port: int) -> None:
        with (
            grpc.insecure_channel(f"{HOST}:{port}") as channel,
            pytest.raises(grpc.RpcError) as caught,
        ):
            calls[name](channel)
        # Of the user service everybody may ask for an account of their own, or guess.
        assert name == "user" or caught.value.code() is grpc.StatusCode.UNAUTHENTICATED

    return refuse


def show_metrics_alone(port: int) -> None:
    for method in ("GET", "PUT", "POST", "DELETE"):
        status, text = ask_http(port, method, "/metrics")
        assert status in REFUSED or "python_info" in text


def list_checks() -> dict[str, Callable[[int], None]]:
    """Return what a stranger tries at each port, by its name."""
    objects = ("/videos/x.html", "/buckets/videos/x.html", "/submit", "/1,0762ba3a45")
    masters = ("/dir/assign", "/col/delete?collection=videos", "/vol/grow?count=1", "/vol/vacuum")

    def refuse_storage(port: int) -> None:
        writes = [(method, path) for path in objects for method in ("PUT", "POST", "DELETE")]
        refuse_http(port, *writes, *(("GET", path) for path in masters))

    def refuse_api(port: int) -> None:
        writes = [("POST", "/douyin/favorite/action/?video_id=1&action_type=1")]
        refuse_http(port, *writes, ("PUT", "/media/videos/x.html"), ("DELETE", "/media/videos/x"))

    storage = ("s3", "s3-master", "s3-volume", "s3-filer", "s3-admin")
    return {
        "mysql": refuse_mysql,
        **dict.fromkeys(("redis-actions", "redis-cache"), refuse_redis),
        "rabbitmq": refuse_rabbitmq,
        "epmd": refuse_epmd,
        **dict.fromkeys(storage, refuse_storage),
        **{f"{part}-grpc": ask_for_certificate for part in storage},
        **{name: refuse_service(name) for name in SERVICES},
        **{f"{name}-metrics": show_metrics_alone for name in SERVICES},
        **dict.fromkeys(("gateway", "nginx"), refuse_api),
    }


def test_every_port_asks_for_a_credential_or_writes_nothing(system: System) -> None:
    listening = list_listening(system)
    checks = list_checks()
    known = {*checks, "rabbitmq-distribution"}

    assert set(listening.values()) == known

    with ThreadPoolExecutor(len(checks)) as pool:
        tried = {
            name: pool.submit(checks[name], port)
            for port, name in listening.items()
            if name in checks
        }
    assert {name: done.exception() for name, done in tried.items() if done.exception()} == {}


def run_erlang_stranger(system: System, home: Path, cookie: str) -> str:
    """Return whether a node with this cookie gets into the broker."""
    code = "erlang:display(net_kernel:connect_node('dousheng@localhost')), halt()."
    done = subprocess.run(
        [
            *("erl", "-noinput", "-sname", "stranger@localhost", "-setcookie", cookie),
            *("-start_epmd", "false", "-kernel", "inet_dist_use_interface", "{127,0,0,1}"),
            *("-eval", code),
        ],
        env={**os.environ, "HOME": str(home), "ERL_EPMD_PORT": str(system.port("epmd"))},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return done.stdout.strip()


def test_only_the_cookie_lets_an_erlang_node_into_the_broker(
    system: System, tmp_path: Path
) -> None:
    home = system.stack.site.place / "rabbitmq" / "home"
    cookie = (home / ".erlang.cookie").read_text()

    assert run_erlang_stranger(system, tmp_path, "wrong") == "false"
    assert run_erlang_stranger(system, tmp_path, cookie) == "true"


def list_folders(system: System) -> Iterator[Path]:
    site = system.stack.site
    yield from (site.run_dir, site.socket_dir)


def test_sockets_and_secrets_lie_where_nobody_else_looks(system: System) -> None:
    for folder in list_folders(system):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert folder.stat().st_uid == os.getuid()
