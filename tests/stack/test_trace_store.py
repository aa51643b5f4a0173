"""Traces of a local stack: what Zipkin is handed of the product's own spans, and what happens where there is no Zipkin."""

import json
import os
import shutil
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import uvicorn

from dal.db.engine import Database
from pkg.tracing import Kind, TracingSettings, child, tracing
from scripts.operator.doctor.local_stack import LocalStack
from scripts.operator.doctor.processes import look_at_processes
from scripts.operator.doctor.target import DoctorSettings, Target
from scripts.otlp_receiver.__main__ import MOST_BYTES, PROTOBUF, make_app
from scripts.stack import Ports, ProcessStatus, Stack, StackError, find_free_port_base
from scripts.stack.processes import wait_until
from scripts.stack.servers.zipkin import Zipkin
from scripts.stack.site import REPOSITORY, Site
from tests.traced import a_request

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
LINKED = f"00-{'ab' * 16}-{'cd' * 8}-01"
NOBODY = "http://127.0.0.1:9"  # The port of `discard`, where nobody listens.

Json = dict[str, Any]


class ZipkinPort(ThreadingHTTPServer):
    """Where Zipkin would listen: keeps the spans that it is handed."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _TakeSpans)
        self.spans: list[Json] = []


class _TakeSpans(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert self.path == "/api/v2/spans"
        assert isinstance(self.server, ZipkinPort)
        self.server.spans += json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(202)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def zipkin() -> Iterator[ZipkinPort]:
    with ZipkinPort() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@contextmanager
def receiver_before(zipkin_url: str) -> Iterator[str]:
    """Serve the receiver while the block runs; gives its address."""
    server = uvicorn.Server(
        uvicorn.Config(make_app(zipkin_url), port=0, log_level="warning", ws="none")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert wait_until(lambda: server.started, timeout_s=30)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def test_zipkin_is_handed_the_spans_of_the_product(zipkin: ZipkinPort) -> None:
    with receiver_before(f"http://127.0.0.1:{zipkin.server_port}") as endpoint:
        settings = TracingSettings(endpoint=endpoint, sample_ratio=1, slow_s=1, timeout_s=10)
        with (
            tracing(settings, process="favorite"),
            a_request("FavoriteAction", TRACE_ID) as request,
        ):
            request.link(LINKED)
            with child("SELECT", Kind.CLIENT, {"db.system.name": "mysql"}) as statement:
                statement.set("found", True)
                statement.fail("ConnectionError")

    by_name = {span["name"]: span for span in zipkin.spans}
    request_span, statement_span = by_name["FavoriteAction"], by_name["SELECT"]
    assert {span["traceId"] for span in zipkin.spans} == {TRACE_ID}
    assert "parentId" not in request_span
    assert statement_span["parentId"] == request_span["id"]
    assert (request_span["kind"], statement_span["kind"]) == ("SERVER", "CLIENT")
    assert request_span["localEndpoint"] == {"serviceName": "favorite"}
    assert statement_span["remoteEndpoint"] == {"serviceName": "mysql"}
    assert statement_span["tags"]["found"] == "true"
    assert statement_span["tags"]["error"] == "ConnectionError"
    assert request_span["tags"][f"linked.{'ab' * 16}"] == "cd" * 8
    assert "error" not in request_span["tags"]
    # In microseconds, as long as the request at least, and never unknown.
    assert request_span["duration"] >= statement_span["duration"] >= 1
    assert request_span["timestamp"] <= statement_span["timestamp"]


def test_the_sender_is_told_to_come_back_where_zipkin_is_away() -> None:
    one_span = b"\x0a\x06\x12\x04\x12\x02\x2a\x00"  # ResourceSpans, ScopeSpans, a Span whose name is empty.
    with receiver_before(NOBODY) as endpoint:
        reply = httpx.post(
            f"{endpoint}/v1/traces",
            content=one_span,
            headers={"Content-Type": PROTOBUF},
            trust_env=False,
        )

    assert reply.status_code == 503
    assert "Zipkin does not take them: ConnectError" in reply.text


@pytest.mark.parametrize(
    ("headers", "body", "status", "told"),
    [
        ({"Content-Type": "application/json"}, b"{}", 415, f"send {PROTOBUF}"),
        ({"Content-Type": PROTOBUF, "Content-Encoding": "gzip"}, b"", 415, "not compressed"),
        ({"Content-Type": PROTOBUF}, b"\xff", 400, "no ExportTraceServiceRequest"),
        ({"Content-Type": PROTOBUF}, bytes(MOST_BYTES + 1), 413, f"at most {MOST_BYTES}"),
        ({"Content-Type": PROTOBUF}, iter([b"abc"]), 411, "Content-Length"),
    ],
    ids=["another encoding", "compressed", "garbage", "too much", "of unknown length"],
)
def test_what_is_no_batch_of_spans_is_refused_for_good(
    headers: dict[str, str], body: bytes | Iterator[bytes], status: int, told: str
) -> None:
    with receiver_before(NOBODY) as endpoint:
        reply = httpx.post(f"{endpoint}/v1/traces", content=body, headers=headers, trust_env=False)

    assert (reply.status_code, told in reply.text) == (status, True), reply.text


def test_every_trace_of_a_stack_with_a_store_is_sent_there(tmp_path: Path) -> None:
    told = Stack(tmp_path / "run", 12000, traces=True).environment()

    assert told["DOUSHENG_TRACING__ENDPOINT"] == "http://127.0.0.1:12019"
    assert told["DOUSHENG_TRACING__SAMPLE_RATIO"] == "1"


def test_who_names_another_receiver_or_ratio_is_followed(tmp_path: Path) -> None:
    named = {
        "DOUSHENG_TRACING__ENDPOINT": "http://192.0.2.1:4318",
        "DOUSHENG_TRACING__SAMPLE_RATIO": "0.5",
    }

    assert (
        Stack(tmp_path / "run", traces=True, overrides=named).environment().items() >= named.items()
    )


def test_a_stack_keeps_its_store_until_it_is_told_otherwise(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "traces").write_text("on\n")

    names = [item.name for item in Stack(folder).status()]

    assert {"zipkin", "otlp"} <= set(names)
    assert names.index("otlp") < names.index("gateway")
    assert (
        Stack(folder, traces=False)
        .environment()
        .keys()
        .isdisjoint({"DOUSHENG_TRACING__ENDPOINT", "DOUSHENG_TRACING__SAMPLE_RATIO"})
    )
    assert not {"zipkin", "otlp"} & {item.name for item in Stack(folder, traces=False).status()}


async def test_the_doctor_tells_of_observers_that_do_not_run(tmp_path: Path) -> None:
    observers = {"prometheus", "zipkin", "otlp"}
    stack = Stack(tmp_path / "run", find_free_port_base(), observe=True, traces=True)

    class AllButObservers(LocalStack):
        def list_processes(self) -> Sequence[ProcessStatus]:
            return [
                item if item.name in observers else replace(item, state="running")
                for item in super().list_processes()
            ]

    place = AllButObservers(stack)
    target = Target(cast(DoctorSettings, None), place, cast(Database, None), None, 30)
    with socket.create_server(("127.0.0.1", stack.site.ports.of("zipkin"))):
        found = {finding.subject: finding for finding in await look_at_processes(target)}

    assert found.keys() == observers
    assert f"its port is taken by pid {os.getpid()}" in found["zipkin"].evidence
    assert "taken" not in found["otlp"].evidence
    assert found["zipkin"].next_command.startswith("scripts/up")


@pytest.fixture
def bare(tmp_path: Path) -> Zipkin:
    """Zipkin of a clone in which it was not installed."""
    shutil.copytree(REPOSITORY / "config" / "zipkin", tmp_path / "config" / "zipkin")
    return Zipkin(Site(tmp_path / "run", Ports(12000), repository=tmp_path))


def test_a_missing_zipkin_is_told_with_the_command_that_installs_it(bare: Zipkin) -> None:
    with pytest.raises(StackError) as refused:
        _ = bare.command

    told = str(refused.value)
    assert told.startswith("not installed: zipkin-server-")
    assert told.endswith("to fix it: run scripts/setup --with-observe")


def test_a_missing_java_is_told_with_the_command_that_installs_it(
    bare: Zipkin, monkeypatch: pytest.MonkeyPatch
) -> None:
    share = bare.site.repository / ".venv" / "share"
    share.mkdir(parents=True)
    name = (bare.site.config_dir / "zipkin" / "server.sha256").read_text().split()[1]
    (share / name).touch()
    monkeypatch.setattr("scripts.stack.files._SYSTEM_FOLDERS", str(share))
    monkeypatch.setenv("PATH", str(share))

    with pytest.raises(
        StackError, match="not installed: java\nto fix it: run scripts/setup --with"
    ):
        _ = bare.command
