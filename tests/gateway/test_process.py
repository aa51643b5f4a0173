"""`python -m gateway` as a process: settings, signals, logs."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from gateway.__main__ import run_gateway
from gateway.clients import Clients
from gateway.settings import GatewayProcessSettings
from pkg.registry import EtcdSettings
from pkg.token import TokenSettings, TokenVerifier
from scripts.stack.ports import find_free_port_base
from scripts.stack.processes import wait_until
from tests.gateway.conftest import VIEWER_ID

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]


def start(port: int, log: Path, **environment: str) -> "subprocess.Popen[bytes]":
    """Start a gateway without an etcd to follow; what it writes to standard error goes to `log`."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("DOUSHENG_")}
    own = {
        "DOUSHENG_GATEWAY__PORT": str(port),
        "DOUSHENG_GATEWAY__SPOOL_DIR": str(log.parent / "spool"),
        "DOUSHENG_ETCD__NODES": '["127.0.0.1:1"]',
    }
    with log.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "gateway"],
            cwd=ROOT,
            env=inherited | own | environment,
            stderr=file,
        )


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def port() -> int:
    return find_free_port_base()


@pytest.fixture
def process(
    port: int, log: Path, token_settings: TokenSettings
) -> Iterator["subprocess.Popen[bytes]"]:
    process = start(port, log, DOUSHENG_TOKEN__PUBLIC_KEYS_DIR=str(token_settings.public_keys_dir))
    try:
        wait_until_serving(port)
        yield process
    finally:
        process.kill()
        process.wait()


def wait_until_serving(port: int) -> None:
    def serves() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
        except httpx.TransportError:
            return False

    assert wait_until(serves, timeout_s=60)


def wait_until_refused(port: int) -> None:
    def refuses() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            return True
        return False

    assert wait_until(refuses, timeout_s=10), "still accepting"


def test_sigterm_finishes_what_runs_and_exits_0(
    process: "subprocess.Popen[bytes]", port: int, log: Path
) -> None:
    with socket.create_connection(("127.0.0.1", port)) as running:
        running.sendall(
            b"POST /douyin/user/login HTTP/1.1\r\nHost: a\r\nContent-Length: 21\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\nExpect: 100-continue\r\n\r\n"
        )
        assert running.recv(4096).startswith(b"HTTP/1.1 100")
        process.send_signal(signal.SIGTERM)
        wait_until_refused(port)
        running.sendall(b"username=a&password=b")
        assert running.recv(4096).startswith(b"HTTP/1.1 503")

    assert process.wait(timeout=10) == 0
    assert "gateway stopped" in log.read_text()


def test_the_log_has_one_line_per_request_and_no_token_nor_text(
    process: "subprocess.Popen[bytes]", port: int, log: Path, token: str
) -> None:
    base = f"http://127.0.0.1:{port}"
    secret = {"token": token, "username": "geheim1", "password": "geheim2", "content": "geheim3"}
    httpx.post(f"{base}/douyin/user/login", params=secret)
    httpx.post(f"{base}/douyin/user/login", data=secret, headers={"X-Request-ID": "rid-1"})
    httpx.get(f"{base}/douyin/publish/status", params=secret)
    httpx.get(f"{base}/geheim4", params=secret)
    with (
        pytest.raises(Exception, match="503"),
        connect(f"ws://127.0.0.1:{port}/douyin/message/ws?to_user_id=1&token={token}"),
    ):
        pass
    process.terminate()
    assert process.wait(timeout=10) == 0
    logged = log.read_text()

    assert "geheim" not in logged
    assert token not in logged
    lines = [line for line in logged.splitlines() if "request served" in line]
    assert len(lines) == 5
    assert " rid-1 " in lines[1]
    assert f"viewer={VIEWER_ID}" in lines[2]
    for fact in ("method=POST", "route=/douyin/user/login/", "status=503", "address=127.0.0.1"):
        assert fact in lines[0]


UNUSABLE = {
    "DOUSHENG_GATEWAY__PORT": "none",
    "DOUSHENG_GATEWAY__PROT": "1",
    "DOUSHENG_GATEWEY__PORT": "1",
    "DOUSHENG_TOKEN__PUBLIC_KEYS_DIR": "/nowhere",
    "DOUSHENG_GATEWAY__SPOOL_DIR": "/proc/nowhere",
}


def test_settings_that_cannot_be_used_are_named_and_exit_2(
    port: int, tmp_path: Path, token_settings: TokenSettings
) -> None:
    usable = {"DOUSHENG_TOKEN__PUBLIC_KEYS_DIR": str(token_settings.public_keys_dir)}
    started = {
        variable: start(port, tmp_path / variable, **(usable | {variable: value}))
        for variable, value in UNUSABLE.items()
    }

    for variable, process in started.items():
        assert process.wait(timeout=60) == 2
        logged = (tmp_path / variable).read_text()
        assert "Traceback" not in logged
        assert variable.split("__")[-1].lower() in logged.lower() or UNUSABLE[variable] in logged


async def test_the_gateway_ends_when_discovery_dies(
    port: int, token_settings: TokenSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(_clients: Clients, _settings: EtcdSettings) -> None:
        raise RuntimeError("discovery died")

    monkeypatch.setattr(Clients, "follow", die)
    monkeypatch.setenv("DOUSHENG_GATEWAY__PORT", str(port))
    monkeypatch.setenv("DOUSHENG_GATEWAY__SPOOL_DIR", str(tmp_path))
    settings = GatewayProcessSettings.load()

    with pytest.raises(ExceptionGroup) as death:
        await run_gateway(settings, TokenVerifier(token_settings))

    assert death.group_contains(RuntimeError, match="discovery died")


def test_a_busy_port_is_told_and_is_no_success(
    port: int, log: Path, token_settings: TokenSettings
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        process = start(
            port, log, DOUSHENG_TOKEN__PUBLIC_KEYS_DIR=str(token_settings.public_keys_dir)
        )
        assert process.wait(timeout=60) not in (0, None)

    assert "address already in use" in log.read_text()
