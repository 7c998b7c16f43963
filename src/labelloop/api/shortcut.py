"""The two hot calls, lease and annotate, past what FastAPI does for every route; all other calls pass through.

The routes are declared in `routes.work` like any other, with their role and their place in the OpenAPI document, and
the same functions answer. Only the way to them is shorter: the path is read here, and the arguments are put together
by hand. A test holds both ways to the same answers.
"""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from labelloop.api import problems
from labelloop.api.access import Requires
from labelloop.api.context import Context
from labelloop.api.routes import role_of
from labelloop.api.routes.work import annotate, lease
from labelloop.domain.errors import LabelloopError
from labelloop.domain.states import Role
from labelloop.domain.types import Identity

PREFIX = "/v1/projects/"
HOT = {"leases": ("lease", lease), "annotations": ("annotate", annotate)}
"""Last part of the path → operation id and the function that answers."""

Answering = Callable[..., Awaitable[Response]]


class Shortcut:
    """Answers the hot calls, and hands all others on."""

    def __init__(self, app: ASGIApp, *, context: Context) -> None:
        self._app = app
        self._context = context
        self._calls: dict[str, tuple[str, Requires, Answering]] = {
            part: (operation, Requires(Role(role_of(operation) or Role.ADMIN)), function)
            for part, (operation, function) in HOT.items()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        found = self._find(scope)
        if found is None:
            await self._app(scope, receive, send)
            return
        project, (operation, requires, function) = found
        scope["operation"], scope["path_params"] = operation, {"project": project}
        request = Request(scope, receive, send)
        try:
            who: Identity = await requires(request)
            response = await function(project, request, who, self._context)
        except LabelloopError as error:
            response = problems.of_request(request, error)
        await response(scope, receive, send)

    def _find(self, scope: Scope) -> tuple[str, tuple[str, Requires, Answering]] | None:
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].startswith(PREFIX):
            return None
        project, _, part = scope["path"][len(PREFIX) :].partition("/")
        call = self._calls.get(part)
        return (project, call) if call is not None and project else None
