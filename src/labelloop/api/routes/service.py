"""The service itself: is it alive, is it ready, what does it measure, who am I, keys, and the OpenAPI document."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from labelloop.api import answers, bodies, problems
from labelloop.api.access import PUBLIC, Admin, Annotator, Local, cover
from labelloop.api.context import Context, Use
from labelloop.api.keys import digest_key, new_key
from labelloop.domain import skills
from labelloop.domain.errors import LabelloopError
from labelloop.domain.types import Identity, Subject
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
    return answers.reply(
        {"subject": who.subject, "role": who.role, "project": who.project, "skills": sorted(who.skills)}
    )


@router.post("/v1/keys", operation_id="create_key", status_code=201, openapi_extra=bodies.described(bodies.KeyRequest))
async def create_key(request: Request, who: Admin, use: Use) -> Response:
    """Make a key. This answer is the only place where it is ever seen."""
    asked = await bodies.read_model(request, bodies.KeyRequest)
    if who.project is not None:
        cover(who, asked.project or "")
    carried = skills.read(asked.skills, most=skills.MOST_CARRIED)
    key = new_key()
    identity = Identity(
        subject=Subject(asked.subject), role=asked.role, project=asked.project, skills=frozenset(carried)
    )
    await run_in_threadpool(_keep, use, identity, key)
    made = {"subject": asked.subject, "role": asked.role, "project": asked.project, "skills": carried}
    log.info("key.created", **made, by=who.subject)
    return answers.reply({"key": key, **made}, 201)


def _keep(context: Context, identity: Identity, key: str) -> None:
    ports = context.ports
    if identity.project is not None:
        ports.projects.get(identity.project)
    ports.keys.create(identity, digest_key(context.settings.hashing_secret, key), ports.clock.now())


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
