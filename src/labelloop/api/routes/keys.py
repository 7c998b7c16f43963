"""What administrators do about keys: make them, see who has one, end them, and say what their bearers can do."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import Response

from labelloop.api import answers, bodies
from labelloop.api.access import Admin, cover
from labelloop.api.context import Context, Use
from labelloop.api.keys import digest_key, new_key
from labelloop.domain import skills
from labelloop.domain.types import Identity, KnownKey, Subject
from labelloop.loop import keys
from labelloop.telemetry import logger

router = APIRouter(prefix="/v1", tags=["keys"])
log = logger(__name__)


@router.post("/keys", operation_id="create_key", status_code=201, openapi_extra=bodies.described(bodies.KeyRequest))
async def create_key(request: Request, who: Admin, use: Use) -> Response:
    """Make a key. This answer is the only place where it is ever seen."""
    asked = await bodies.read_model(request, bodies.KeyRequest)
    _allow(who, asked.project)
    carried = skills.read(asked.skills, most=skills.MOST_CARRIED)
    key = new_key()
    identity = Identity(
        subject=Subject(asked.subject), role=asked.role, project=asked.project, skills=frozenset(carried)
    )
    digest = digest_key(use.settings.hashing_secret, key)
    made = await run_in_threadpool(keys.keep, use.ports, identity, digest)
    _note("key.created", made, by=who)
    return answers.reply({"key": key, **keys.told(made)}, 201)


@router.get("/keys", operation_id="keys")
async def list_keys(
    *,
    who: Admin,
    use: Use,
    subject: Annotated[str | None, Query(description="Of this annotator only.")] = None,
    project: Annotated[str | None, Query(description="Limited to this project only.")] = None,
    revoked: Annotated[bool, Query(description="Revoked ones, too.")] = False,
) -> Response:
    """Who has a key, oldest first. None of them can be read from the answer."""
    if who.project is not None:
        project = project or who.project
        cover(who, project)
    found = await run_in_threadpool(keys.listed, use.ports, subject=subject, project=project, revoked=revoked)
    return answers.reply({"keys": [keys.told(key) for key in found]})


@router.delete("/keys/{key}", operation_id="revoke_key")
async def revoke_key(key: str, who: Admin, use: Use) -> Response:
    """End a key, by its id, within seconds. Once it is revoked, the same again changes nothing."""
    found = await run_in_threadpool(_named, use, who, key)
    ended = await run_in_threadpool(keys.revoke, use.ports, found)
    _note("key.revoked", ended, by=who)
    return answers.reply(keys.told(ended))


@router.put("/keys/{key}/skills", operation_id="change_skills", openapi_extra=bodies.described(bodies.SkillsOfKey))
async def change_skills(key: str, request: Request, who: Admin, use: Use) -> Response:
    """Say what the bearer of a key can do from now on: these skills and no others."""
    asked = await bodies.read_model(request, bodies.SkillsOfKey)
    found = await run_in_threadpool(_named, use, who, key)
    changed = await run_in_threadpool(keys.equip, use.ports, found, asked.skills)
    _note("key.changed", changed, by=who)
    return answers.reply(keys.told(changed))


def _named(context: Context, who: Identity, key: str) -> KnownKey:
    found = keys.named(context.ports, key)
    _allow(who, found.identity.project)
    return found


def _allow(who: Identity, project: str | None) -> None:
    """An administrator of one project has to do with its keys alone."""
    if who.project is not None:
        cover(who, project or "")


def _note(event: str, key: KnownKey, *, by: Identity) -> None:
    log.info(event, id=key.id, **keys.whose(key.identity), by=by.subject)
