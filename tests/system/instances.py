"""More instances of the user service beside the one of the stack."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

from pkg.rpc.status import decode_error
from protos.user_pb2 import LoginRequest
from protos.user_pb2_grpc import UserServiceStub
from scripts.stack import find_free_port_base
from scripts.stack.environment import without_settings
from tests.system.system import System


@dataclass(frozen=True)
class Instance:
    """A process of the user service."""

    process: subprocess.Popen[bytes]
    port: int
    metrics_port: int
    log: Path

    @property
    def address(self) -> str:
        """What it tells the registry."""
        return f"127.0.0.1:{self.port}"


@contextmanager
def another_user_service(system: System, folder: Path) -> Iterator[Instance]:
    """Run one more instance with the stack's settings and ports of its own; it leaves in good order."""
    base = find_free_port_base()
    environment = {
        **without_settings(os.environ),
        **system.stack.environment(),
        "DOUSHENG_USER__PORT": str(base),
        "DOUSHENG_USER__METRICS_PORT": str(base + 1),
    }
    log = folder / f"user-{base}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *("setpriv", "--pdeathsig", "KILL", "--"),
                *(system.stack.site.python, "-m", "services.user"),
            ],
            cwd=system.stack.site.repository,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield Instance(process, base, base + 1, log)
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        finally:
            process.kill()
            process.wait()


async def login_at(port: int, name: str, password: str, *, address: str = "10.1.2.3") -> str:
    """Log in at one instance without the gateway; return the name of the error, empty for success."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            await UserServiceStub(channel).Login(
                LoginRequest(username=name, password=password),
                timeout=10,
                metadata=(("x-client-address", address),),
            )
        except grpc.aio.AioRpcError as exc:
            return type(decode_error(exc)).__name__
    return ""
