"""Projects: create, change, list, look at, pause, resume and delete; and who has answered what."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import Response

from labelloop import projects
from labelloop.api import answers, bodies
from labelloop.api.access import Admin, Annotator, Engineer, Reviewer, cover
from labelloop.api.context import Use
from labelloop.domain.errors import InvalidProject
from labelloop.domain.states import ProjectState
from labelloop.domain.types import Identity, Subject
from labelloop.loop import create as creating
from labelloop.loop import delete as deleting
from labelloop.loop import report
from labelloop.loop import update as updating
from labelloop.loop.agreement import agreement
from labelloop.ports import Ports
from labelloop.telemetry import logger

DELETE_SECONDS = 15.0
"""How long a call that deletes works at most before it answers; the steward does the rest."""

router = APIRouter(prefix="/v1/projects", tags=["projects"])
log = logger(__name__)


@router.post("", operation_id="create_project", status_code=201, openapi_extra=bodies.described(projects.Project))
async def create_project(request: Request, who: Engineer, use: Use) -> Response:
    """Create a project from its file as JSON; the same file again changes nothing."""
    project = projects.parse(await bodies.read_json(request))
    cover(who, project.name)
    await run_in_threadpool(lambda: creating.create(use.ports, project, by=who.subject))
    return answers.reply({"project": project.name}, 201, {"Location": f"/v1/projects/{project.name}"})


@router.get("", operation_id="projects")
async def list_projects(who: Annotator, use: Use) -> Response:
    """The projects this key may see."""
    return answers.reply({"projects": await run_in_threadpool(_seen_by, use.ports, who)})


@router.get("/{project}", operation_id="project")
async def show_project(project: str, _: Annotator, use: Use) -> Response:
    """How a project stands, and what its items and labels look like."""
    return answers.reply(await run_in_threadpool(_view, use.ports, project))


@router.put("/{project}", operation_id="update_project", openapi_extra=bodies.described(projects.Project))
async def update_project(project: str, request: Request, who: Engineer, use: Use, *, dry: bool = False) -> Response:
    """Put another file of a project in force, as its next edition; with `dry`, only say what would change."""
    found = projects.parse(await bodies.read_json(request))
    if found.name != project:
        raise InvalidProject(f"The file is of the project {found.name!r}, the address of {project!r}; send it there.")
    told = await run_in_threadpool(lambda: updating.update(use.ports, found, by=who.subject, dry=dry))
    return answers.reply({"project": project, **asdict(told)})


@router.get("/{project}/file", operation_id="project_file")
async def project_file(
    project: str, _: Engineer, use: Use, edition: Annotated[int | None, Query(ge=1, lt=2**31)] = None
) -> Response:
    """The project's file as JSON, with all defaults: the edition in force, or another one."""
    found = await run_in_threadpool(use.ports.projects.get, project, edition)
    return answers.reply(found.model_dump(mode="json"))


@router.get("/{project}/editions", operation_id="editions")
async def editions(project: str, _: Engineer, use: Use) -> Response:
    """The editions of the project's file, newest first: since when, by whom, and what was changed."""
    return answers.reply({"editions": await run_in_threadpool(updating.history, use.ports, project)})


@router.post("/{project}/pause", operation_id="pause")
async def pause(project: str, _: Engineer, use: Use) -> Response:
    """Hand out no more work; answers to open leases are still taken."""
    return await _set_state(use.ports, project, ProjectState.PAUSED)


@router.post("/{project}/resume", operation_id="resume")
async def resume(project: str, _: Engineer, use: Use) -> Response:
    """Hand out work again."""
    return await _set_state(use.ports, project, ProjectState.ACTIVE)


@router.delete("/{project}", operation_id="delete_project")
async def delete_project(project: str, who: Admin, use: Use) -> Response:
    """Delete a project for good: items, answers, models, files, and the keys that are limited to it. Export it before.

    From this moment on it is unknown, and no answer to its open leases is taken. `waits_for` is null when all is gone
    and the name is free; else the steward goes on, and the same call again says how it stands, 404 that it is over.
    A key that was limited to the project went with it: to that one the answer is 401.
    """
    done = await run_in_threadpool(deleting.delete, use.ports, project, seconds=DELETE_SECONDS, patience=DELETE_SECONDS)
    log.info("project.deleted", project=project, by=who.subject, waits_for=done.waits_for)
    return answers.reply(deleting.summary(done))


@router.get("/{project}/annotators", operation_id="annotators")
async def annotators(project: str, _: Reviewer, use: Use) -> Response:
    """What each annotator did, and how far they agree."""
    return answers.reply(await run_in_threadpool(_all_of_them, use.ports, project))


@router.get("/{project}/annotators/me", operation_id="annotator")
async def annotator(project: str, who: Annotator, use: Use) -> Response:
    """What the caller did."""
    rows = await run_in_threadpool(_annotators, use.ports, project, who.subject)
    nothing = {"annotator": who.subject, "accepted": 0, "late": 0, "surplus": 0, "skipped": 0, "open": 0}
    # Not which answers were checked: who asks after each answer would learn the known ones.
    told = {name: value for name, value in rows[0].items() if name not in {"gold", "right"}} if rows else nothing
    return answers.reply(told)


def _seen_by(ports: Ports, who: Identity) -> list[dict[str, Any]]:
    names = [name for name in ports.projects.names() if who.project in {None, name}]
    return [
        {"project": name, "title": ports.projects.get(name).title or name, "state": ports.projects.row(name).state}
        for name in names
    ]


def _view(ports: Ports, name: str) -> dict[str, Any]:
    """The status, and what a page must know to show an item: its field, and the value of white."""
    status = report.status(ports, name)
    project = ports.projects.get(name, status["edition"])
    maximum = project.features.maximum if project.features.kind == "pixels" else 255.0
    return {
        **status,
        "items": {**status["items"], "field": project.shown_field, "maximum": maximum},
    }


def _annotators(ports: Ports, name: str, only: Subject | None = None) -> list[dict[str, Any]]:
    ports.projects.get(name)
    return [dict(row) for row in ports.verdicts.annotators(name, only)]


def _all_of_them(ports: Ports, name: str) -> dict[str, Any]:
    return {"annotators": _annotators(ports, name), "agreement": agreement(ports, name)}


async def _set_state(ports: Ports, name: str, state: ProjectState) -> Response:
    await run_in_threadpool(ports.projects.set_state, name, state)
    return answers.reply({"project": name, "state": state})
