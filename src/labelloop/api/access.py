"""Who may call what: every route declares the least role it needs, or that it is public.

A route states it in its signature (`who: Engineer`); a test walks the routers and fails where one does not.
"""

import ipaddress
from typing import Annotated

from fastapi import Depends, Request

from labelloop.api.context import Context, context_of
from labelloop.domain.errors import NotAllowed, NotAuthenticated
from labelloop.domain.states import Role
from labelloop.domain.types import Identity


class Requires:
    """A dependency: the caller's identity, when its key has at least this role and covers the project called."""

    def __init__(self, role: Role) -> None:
        self.role = role

    async def __call__(self, request: Request) -> Identity:
        """Recognise the caller, or raise NotAuthenticated or NotAllowed."""
        who = await identify(request, context_of(request))
        if not who.role.covers(self.role):
            raise NotAllowed(
                f"This needs the role {self.role}; your key has the role {who.role}. Ask an administrator for a key "
                "of that role.",
                role=who.role,
                needed=self.role,
            )
        project = request.path_params.get("project")
        if project is not None:
            cover(who, project)
        return who


async def public() -> None:
    """A dependency that says: no key needed."""


class Scrape(Requires):
    """As Requires, but a caller on this very machine needs no key, as long as nothing forwards for others."""

    async def __call__(self, request: Request) -> Identity:
        """Recognise the caller, or let a local one pass."""
        host = request.client.host if request.client else ""
        forwarded = "x-forwarded-for" in request.headers or "forwarded" in request.headers
        if _is_loopback(host) and not forwarded and "authorization" not in request.headers:
            return Identity(subject="local", role=self.role)  # type: ignore[arg-type]
        return await super().__call__(request)


def cover(who: Identity, project: str) -> None:
    """Raise NotAllowed unless the key may be used on this project."""
    if who.project is not None and who.project != project:
        raise NotAllowed(f"Your key is for the project {who.project!r} only.", project=project, allowed=who.project)


async def identify(request: Request, context: Context) -> Identity:
    """Whose key came with the request."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    key = key.strip()
    if scheme.lower() != "bearer" or not key:
        raise NotAuthenticated("Send your API key in the header `Authorization: Bearer ll_…`.")
    who = context.keyring.recall(key) or await context.recognising.ask("", key, items=1)
    if who is None:
        raise NotAuthenticated("Nobody knows this API key. Check it, or ask an administrator for a new one.")
    request.state.identity = who
    return who


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


Annotator = Annotated[Identity, Depends(Requires(Role.ANNOTATOR))]
Reviewer = Annotated[Identity, Depends(Requires(Role.REVIEWER))]
Engineer = Annotated[Identity, Depends(Requires(Role.ENGINEER))]
Admin = Annotated[Identity, Depends(Requires(Role.ADMIN))]
Local = Annotated[Identity, Depends(Scrape(Role.ENGINEER))]
PUBLIC = Depends(public)
