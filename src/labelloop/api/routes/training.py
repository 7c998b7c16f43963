"""What engineers and schedulers call: rounds, trainings, jobs, models, the learning curve."""

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import Response

from labelloop.api import answers, bodies
from labelloop.api.access import Engineer, Reviewer, cover
from labelloop.api.context import Use
from labelloop.domain.types import JobId, ModelNumber
from labelloop.loop import promote as loop_promote
from labelloop.loop import report
from labelloop.loop.classes import classes_of
from labelloop.loop.map import last as last_map
from labelloop.loop.request import request_map, request_round, request_training

router = APIRouter(prefix="/v1", tags=["training"])


@router.post("/projects/{project}/rounds", operation_id="plan", status_code=202, openapi_extra=bodies.REPEATABLE)
async def plan(project: str, request: Request, _: Engineer, use: Use) -> Response:
    """Ask for a new ranking."""
    job = await run_in_threadpool(request_round, use.ports, project, key=bodies.idempotency_key(request))
    return _accepted(job.id)


@router.post("/projects/{project}/trainings", operation_id="train", status_code=202, openapi_extra=bodies.REPEATABLE)
async def train(project: str, request: Request, _: Engineer, use: Use) -> Response:
    """Ask for a retrain cycle: train, measure, gate, re-rank."""
    job = await run_in_threadpool(request_training, use.ports, project, key=bodies.idempotency_key(request))
    return _accepted(job.id)


@router.get("/jobs/{job}", operation_id="job")
async def job(job: str, who: Engineer, use: Use) -> Response:
    """How a job stands: state, progress, and its result or problem."""
    found = await run_in_threadpool(use.ports.jobs.get, JobId(job))
    cover(who, found.project)
    return answers.reply(report.job_summary(found))


@router.get("/projects/{project}/models", operation_id="models")
async def models(project: str, _: Reviewer, use: Use) -> Response:
    """The registry, oldest first."""
    row = await run_in_threadpool(use.ports.projects.row, project)
    found = await run_in_threadpool(use.ports.models.all, project)
    return answers.reply({"champion": row.champion, "models": [report.model_summary(one) for one in found]})


@router.post("/projects/{project}/models/{number}/promote", operation_id="promote")
async def promote(project: str, number: bodies.Number, who: Engineer, use: Use) -> Response:
    """Make a model the champion by hand; an older number rolls back."""
    found = await run_in_threadpool(
        loop_promote.promote_by_hand, use.ports, project, ModelNumber(number), by=who.subject
    )
    return answers.reply(report.model_summary(found))


@router.get("/projects/{project}/curve", operation_id="curve")
async def curve(project: str, _: Reviewer, use: Use) -> Response:
    """The learning curve with intervals."""
    return answers.reply(await run_in_threadpool(report.curve, use.ports, project))


@router.get("/projects/{project}/classes", operation_id="classes")
async def classes(project: str, _: Reviewer, use: Use) -> Response:
    """Of each class: the labels there are and that are wanted, and what each lane brought beside chance."""
    return answers.reply(await run_in_threadpool(classes_of, use.ports, project))


@router.post("/projects/{project}/map", operation_id="draw_map", status_code=202)
async def draw_map(project: str, _: Engineer, use: Use) -> Response:
    """Ask for a map of the pool as it stands now; what is drawn already is not drawn again."""
    return _accepted((await run_in_threadpool(request_map, use.ports, project)).id)


@router.get("/projects/{project}/map", operation_id="map")
async def show_map(project: str, _: Engineer, use: Use) -> Response:
    """The last map of the pool: at most 5,000 items on a plane, with label, guess, doubt, score and lane of each."""
    return answers.reply(await run_in_threadpool(last_map, use.ports, project))


def _accepted(job: JobId) -> Response:
    return answers.reply({"job": job}, 202, {"Location": f"/v1/jobs/{job}"})
