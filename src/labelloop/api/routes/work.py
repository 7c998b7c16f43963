"""What annotators call: lease, renew, release, skip, annotate.

The two hot calls, lease and annotate, are reached by `api.shortcut` and share their work by `api.gather`.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import Response

from labelloop.api import answers, bodies
from labelloop.api.access import Annotator
from labelloop.api.context import Context, Use
from labelloop.domain.errors import Invalid
from labelloop.domain.types import Identity, LeaseOutcome
from labelloop.loop import lease as loop_lease
from labelloop.loop.annotate import Sheet

router = APIRouter(prefix="/v1/projects/{project}", tags=["work"])

REPLAYED = "Idempotent-Replayed"
"""Header of an answer that was given before, to the same Idempotency-Key."""


@router.post("/leases", operation_id="lease", openapi_extra=bodies.described(bodies.LeaseRequest))
async def lease(project: str, request: Request, who: Annotator, use: Use) -> Response:
    """Hand out up to `count` items; empty-handed callers are told when to ask again, and why."""
    body = await bodies.read_object(request, known=frozenset({"count"}))
    count = body.get("count", 1)
    if type(count) is not int or count < 1:
        raise Invalid("`count` must be a whole number from 1 up.", count=str(count)[:64])
    found = await use.leasing.ask(project, loop_lease.Ask(who=who, count=count), items=count)
    if found.leases:
        use.metrics.count("labelloop_leases", project, "leased", by=len(found.leases))
    else:
        use.metrics.count("labelloop_leases", project, "empty")
    return answers.reply(answers.batch(found))


@router.get("/leases", operation_id="open_leases")
async def open_leases(project: str, who: Annotator, use: Use) -> Response:
    """The leases the caller still holds, so that a page can go on after a reload."""
    found = await run_in_threadpool(loop_lease.open_leases, use.ports, project, who)
    return answers.reply(answers.batch(found))


@router.post("/leases/renew", operation_id="renew", openapi_extra=bodies.described(bodies.LeaseList))
async def renew(project: str, request: Request, who: Annotator, use: Use) -> Response:
    """Give leases their full time again."""
    return await _change(request, project, who, use, loop_lease.renew)


@router.post("/leases/release", operation_id="release", openapi_extra=bodies.described(bodies.LeaseList))
async def release(project: str, request: Request, who: Annotator, use: Use) -> Response:
    """Give leases back; the items may come to anyone again."""
    return await _change(request, project, who, use, loop_lease.release)


@router.post("/leases/skip", operation_id="skip", openapi_extra=bodies.described(bodies.LeaseList))
async def skip(project: str, request: Request, who: Annotator, use: Use) -> Response:
    """Give leases back for good: the items never come to this annotator again."""
    return await _change(request, project, who, use, loop_lease.skip)


@router.post(
    "/annotations",
    operation_id="annotate",
    openapi_extra=bodies.described(bodies.AnnotationList) | bodies.REPEATABLE,
)
async def annotate(project: str, request: Request, who: Annotator, use: Use) -> Response:
    """Take answers in; durable when this returns. One outcome each, in order."""
    body = await bodies.read_object(request, known=frozenset({"annotations"}))
    given = body.get("annotations")
    if not isinstance(given, list):
        raise Invalid("The body must be an object with a list `annotations`.")
    sheet = Sheet(who=who, answers=given, key=bodies.idempotency_key(request))
    outcomes, replayed = await use.annotating.ask(project, sheet, items=len(given))
    if not replayed:
        for outcome, count in Counter(one.outcome for one in outcomes).items():
            use.metrics.count("labelloop_annotations", project, outcome, by=count)
    headers = {REPLAYED: "true"} if replayed else None
    return answers.reply({"outcomes": answers.outcomes(outcomes)}, headers=headers)


async def _change(
    request: Request,
    project: str,
    who: Identity,
    context: Context,
    verb: Callable[..., list[LeaseOutcome]],
) -> Response:
    body: Any = await bodies.read_object(request, known=frozenset({"leases"}))
    leases = body.get("leases")
    if not isinstance(leases, list) or not all(isinstance(one, str | int) for one in leases):
        raise Invalid("The body must be an object with `leases`, a list of leases as they were handed out.")
    outcomes = await run_in_threadpool(verb, context.ports, project, who, [str(one) for one in leases])
    for one in outcomes:
        context.metrics.count("labelloop_leases", project, f"{verb.__name__}_{one.outcome}")
    return answers.reply({"outcomes": answers.outcomes(outcomes)})
