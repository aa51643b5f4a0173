"""For operators: is the process alive, can it serve, what does it do."""

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
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
async def metrics() -> Response:
    """Prometheus metrics of this process."""
    return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
