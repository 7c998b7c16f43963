"""The service itself: is it alive, is it ready, what does it measure, who am I, and the OpenAPI document."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from labelloop.api import answers, problems
from labelloop.api.access import PUBLIC, Annotator, Local
from labelloop.api.context import Context, Use
from labelloop.domain.errors import LabelloopError
from labelloop.loop.keys import whose
from labelloop.telemetry import logger

router = APIRouter(tags=["service"])
log = logger(__name__)


@router.get("/healthz", operation_id="health", dependencies=[PUBLIC])
async def health() -> Response:
    """The process answers."""
    return answers.reply({"status": "alive"})


@router.get("/readyz", operation_id="ready", dependencies=[PUBLIC])
async def ready(use: Use) -> Response:
    """The store and the queue answer."""
    parts = await run_in_threadpool(_parts, use)
    if all(state == "ready" for state in parts.values()):
        return answers.reply({"status": "ready", **parts})
    down = " and the ".join(part for part, state in parts.items() if state != "ready")
    members = problems.problem(
        503, "unavailable", "Not ready", detail=f"The {down} does not answer. Try again shortly.", ids=parts
    )
    return problems.response(members, {"Retry-After": str(problems.RETRY_SECONDS)})


@router.get("/metrics", operation_id="metrics")
async def metrics(_: Local, use: Use) -> Response:
    """Everything that is measured, for Prometheus; callers on the same machine need no key."""
    body = await run_in_threadpool(use.metrics.expose)
    return Response(body, headers={"Content-Type": CONTENT_TYPE_LATEST})


@router.get("/openapi.json", operation_id="openapi", dependencies=[PUBLIC])
async def openapi(request: Request) -> Response:
    """Every call, for programs."""
    return answers.reply(request.app.openapi())


@router.get("/v1/whoami", operation_id="whoami")
async def whoami(who: Annotator) -> Response:
    """Whom this key stands for, and what it may do."""
    return answers.reply(whose(who))


def _parts(context: Context) -> dict[str, Any]:
    return {
        "store": _answers(context.ports.projects.names),
        "queue": _answers(context.ports.queue_health.ping),
    }


def _answers(question: Any) -> str:
    try:
        return "silent" if question() is False else "ready"
    except LabelloopError as error:
        log.warning("ready.failed", problem=error.detail)
        return "silent"
    except Exception:  # whatever a driver throws, the answer is: not ready
        log.exception("ready.failed")
        return "silent"
