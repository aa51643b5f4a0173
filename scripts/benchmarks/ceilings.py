"""What the framework alone can do: a body of constant size, answered by bare ASGI and by FastAPI with the uvicorn settings of the gateway.

`python -m scripts.benchmarks.ceilings fastapi PORT BYTES` is such a server.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import httpx
import uvicorn
from fastapi import FastAPI, Query, Response
from starlette.types import Receive, Scope, Send

from gateway.server import KEEP_ALIVE_S
from scripts.benchmarks.report import BenchError
from scripts.stack.site import LOCALHOST, REPOSITORY
from scripts.waiting import wait_until

KINDS = ("asgi", "fastapi")
STARTED_WITHIN_S = 60
BEGIN, END = b'{"status_code":0,"status_msg":"","padding":"', b'"}'


def make_body(size: int) -> bytes:
    """Return a success of that many bytes, or of the fewest that it takes."""
    return BEGIN + b"x" * (size - len(BEGIN) - len(END)) + END


class BareApp:
    """One reply to everything, without a framework."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._headers = [
            (b"content-length", str(len(body)).encode()),
            (b"content-type", b"application/json"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        await send({"type": "http.response.start", "status": 200, "headers": self._headers})
        await send({"type": "http.response.body", "body": self._body})


def make_fastapi_app(body: bytes) -> FastAPI:
    """Return an application with one route, which reads two parameters as every endpoint does."""
    app = FastAPI(redirect_slashes=False, docs_url=None, redoc_url=None)

    async def answer(
        token: Annotated[str, Query()] = "",  # noqa: ARG001 - reading it is what is measured
        user_id: Annotated[str, Query()] = "",  # noqa: ARG001
    ) -> Response:
        return Response(body, media_type="application/json")

    app.add_api_route("/{path:path}", answer, methods=["GET", "POST"])
    return app


@contextmanager
def running_ceiling(kind: str, port: int, size: int) -> Iterator[int]:
    """Run such a server in a process of its own; give its process id.

    Raises:
        BenchError: it did not start.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts.benchmarks.ceilings", kind, str(port), str(size)],
        cwd=REPOSITORY,
    )
    try:
        if not wait_until(lambda: _answers(port), timeout_s=STARTED_WITHIN_S):
            raise BenchError(f"the server of the {kind} ceiling did not start on port {port}")
        yield process.pid
    finally:
        process.terminate()
        process.wait(timeout=STARTED_WITHIN_S)


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://{LOCALHOST}:{port}/", trust_env=False, timeout=2).is_success
    except httpx.TransportError:
        return False


def main(kind: str, port: int, size: int) -> None:
    """Serve until SIGTERM."""
    body = make_body(size)
    uvicorn.run(
        BareApp(body) if kind == "asgi" else make_fastapi_app(body),
        host=LOCALHOST,
        port=port,
        loop="uvloop",
        http="httptools",
        server_header=False,
        access_log=False,
        log_level="warning",
        timeout_keep_alive=KEEP_ALIVE_S,
        lifespan="off",
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
