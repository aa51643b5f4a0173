"""For operators: is the process alive, can it serve, what does it do."""

from fastapi import APIRouter, Request
from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder
from starlette.responses import Response

from gateway import schemas
from gateway.authentication import AnonymousViewer
from gateway.errors import error_response
from gateway.replies import success
from pkg.errors import DependencyUnavailable

router = APIRouter(tags=["operation"])


@router.get("/healthz", response_model=schemas.Envelope)
async def healthz() -> Response:
    """The process lives."""
    return success({})


@router.get("/readyz", response_model=schemas.ReadinessReply)
async def readyz(viewer: AnonymousViewer) -> Response:
    """Every service that the gateway needs answers; 503 names those that do not."""
    missing = await viewer.state.readiness.list_missing()
    if missing:
        return error_response(DependencyUnavailable(), missing=missing)
    return success({"missing": []})


@router.get("/metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """Prometheus metrics of this process, in the form that the caller takes; OpenMetrics has exemplars."""
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return Response(encode(REGISTRY), headers={"Content-Type": content_type})
