"""Takes spans by OTLP over HTTP and hands each batch to Zipkin before it answers; nothing is kept here."""

import argparse
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus

import httpx
import uvicorn
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from scripts.otlp_receiver.zipkin_spans import to_zipkin

PROTOBUF = "application/x-protobuf"
# Less than the product waits for the whole exchange.
ZIPKIN_TIMEOUT_S = 2
MOST_BYTES = 16 * 1024**2


def make_app(zipkin_url: str) -> Starlette:
    """Return the ASGI application that hands spans to the Zipkin at `zipkin_url`."""

    @asynccontextmanager
    async def connect(app: Starlette) -> AsyncIterator[None]:
        async with httpx.AsyncClient(
            base_url=zipkin_url, timeout=ZIPKIN_TIMEOUT_S, trust_env=False
        ) as app.state.zipkin:
            yield

    return Starlette(routes=[Route("/v1/traces", _take, methods=["POST"])], lifespan=connect)


async def _take(request: Request) -> Response:
    """Answer as the protocol wants it: 503 is tried again by the sender, 4xx is not."""
    if refusal := _find_refusal(request):
        return refusal
    try:
        batch = ExportTraceServiceRequest.FromString(await request.body())
    except DecodeError:
        return _refuse(HTTPStatus.BAD_REQUEST, "this is no ExportTraceServiceRequest")
    if spans := to_zipkin(batch):
        try:
            reply = await request.app.state.zipkin.post("/api/v2/spans", json=spans)
            reply.raise_for_status()
        except httpx.HTTPError as exc:
            problem = f"Zipkin does not take them: {type(exc).__name__} {exc}"
            return _refuse(HTTPStatus.SERVICE_UNAVAILABLE, problem)
    return Response(ExportTraceServiceResponse().SerializeToString(), media_type=PROTOBUF)


def _find_refusal(request: Request) -> Response | None:
    headers = request.headers
    if headers.get("content-type") != PROTOBUF or "content-encoding" in headers:
        problem = f"send {PROTOBUF}, not compressed"
        return _refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, problem)
    length = headers.get("content-length", "")
    if not length.isascii() or not length.isdigit():
        return _refuse(HTTPStatus.LENGTH_REQUIRED, "say how long it is: Content-Length")
    if int(length) > MOST_BYTES:
        problem = f"send at most {MOST_BYTES} bytes at once"
        return _refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, problem)
    return None


def _refuse(status: HTTPStatus, problem: str) -> Response:
    return PlainTextResponse(f"{problem}\n", status)


def main(arguments: Sequence[str]) -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m scripts.otlp_receiver", description=__doc__)
    parser.add_argument("--host", required=True, help="the address to listen on")
    parser.add_argument("--port", required=True, type=int)
    parser.add_argument("--zipkin", required=True, metavar="URL", help="http://HOST:PORT")
    options = parser.parse_args(arguments)
    app = make_app(options.zipkin)
    uvicorn.run(app, host=options.host, port=options.port, log_level="warning", ws="none")


if __name__ == "__main__":
    main(sys.argv[1:])
