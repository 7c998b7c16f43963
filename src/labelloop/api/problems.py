"""Errors on the wire: one table from error class to HTTP status, and one shape, RFC 9457's problem+json.

Nothing internal leaves here: an error that nobody foresaw is logged under its request id, and the caller gets the id.
"""

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from labelloop.domain import errors
from labelloop.domain.errors import LabelloopError

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:labelloop:problem:"
RETRY_SECONDS = 2
"""What a caller is asked to wait while the store or the queue does not answer."""


class MalformedJson(errors.Invalid):
    """The body is not JSON at all."""


STATUS: Mapping[type[LabelloopError], int] = {
    errors.NotFound: 404,
    MalformedJson: 400,
    errors.Invalid: 422,
    errors.Conflict: 409,
    errors.IdempotencyMismatch: 422,
    errors.NotAuthenticated: 401,
    errors.NotAllowed: 403,
    errors.TooLarge: 413,
    errors.TooOften: 429,
    errors.Refused: 403,
    errors.CannotTrain: 422,
    errors.BadArtifact: 500,
    errors.Unavailable: 503,
    LabelloopError: 500,
}
"""Error class → status; a class that is not here has the status of its nearest ancestor."""

HEADERS: Mapping[type[LabelloopError], Mapping[str, str]] = {
    errors.NotAuthenticated: {"WWW-Authenticate": 'Bearer realm="labelloop"'},
    errors.Unavailable: {"Retry-After": str(RETRY_SECONDS)},
}

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "title": "Problem",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "description": "Which kind of problem, for programs."},
        "title": {"type": "string", "description": "The kind in words."},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What was wrong with this call and what to do next."},
    },
    "additionalProperties": True,
}
"""A problem as OpenAPI describes it; further members are the ids it is about."""

OF_HTTP: Mapping[int, tuple[str, str]] = {
    400: ("malformed-request", "Malformed request"),
    404: ("unknown-address", "No such address"),
    405: ("method-not-allowed", "Method not allowed"),
    500: ("internal", "Internal error"),
}
"""Status → slug and title of a problem that is none of our errors: of HTTP itself, or one that nobody foresaw."""


def status_of(error: LabelloopError) -> int:
    """The HTTP status of an error."""
    return next(STATUS[ancestor] for ancestor in type(error).__mro__ if ancestor in STATUS)


def problem(status: int, slug: str, title: str, *, detail: str, ids: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The members of one problem; ids never overwrite the standard ones."""
    standard = {"type": TYPE_PREFIX + slug, "title": title, "status": status, "detail": detail}
    return {**(ids or {}), **standard}


def of_error(error: LabelloopError) -> dict[str, Any]:
    """An error of ours as a problem."""
    title = (type(error).__doc__ or "").strip().splitlines()[0].rstrip(".") or type(error).__name__
    return problem(status_of(error), error.slug, title, detail=error.detail, ids=error.ids)


def internal(request_id: str) -> dict[str, Any]:
    """What a caller may know of an error nobody foresaw."""
    detail = f"Something went wrong on our side. Tell the operator this request id: {request_id}."
    return problem(500, *OF_HTTP[500], detail=detail, ids={"request_id": request_id})


def response(members: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """A problem as a response."""
    body = orjson.dumps(members, default=str, option=orjson.OPT_NON_STR_KEYS)
    return Response(body, status_code=int(members["status"]), media_type=MEDIA_TYPE, headers=dict(headers or {}))


def respond(error: LabelloopError) -> Response:
    """An error of ours as a response."""
    headers = next((HEADERS[c] for c in type(error).__mro__ if c in HEADERS), None)
    return response(of_error(error), headers)


def explain(error: ValidationError, what: str) -> errors.Invalid:
    """A pydantic refusal as one sentence that names each wrong place."""
    places = [
        {
            "at": ".".join(str(part) for part in entry["loc"]) or what,
            "error": entry["msg"].removeprefix("Value error, "),
        }
        for entry in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    sentence = "; ".join(f"{place['at']}: {place['error']}" for place in places[:5])
    return errors.Invalid(f"The {what} cannot be used: {sentence}.", errors=places[:100])


def install(app: FastAPI) -> None:
    """Answer every foreseen error with a problem."""
    app.add_exception_handler(LabelloopError, _labelloop)
    app.add_exception_handler(RequestValidationError, _parameters)
    app.add_exception_handler(HTTPException, _http)


def of_request(request: Request, error: LabelloopError) -> Response:
    """An error of ours as the response to a request, whose log line names it when it is our fault."""
    if status_of(error) >= 500:
        request.state.problem = error
    return respond(error)


async def _labelloop(request: Request, error: Exception) -> Response:
    assert isinstance(error, LabelloopError)  # noqa: S101 - registered for this class only
    return of_request(request, error)


async def _parameters(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class only
    places = [{"at": ".".join(str(p) for p in e["loc"]), "error": e["msg"]} for e in error.errors()]
    sentence = "; ".join(f"{place['at']}: {place['error']}" for place in places)
    return respond(errors.Invalid(f"The address cannot be used: {sentence}.", errors=places))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    status = error.status_code
    if status == 404:
        detail = f"There is nothing at {request.url.path}. All calls are listed at /openapi.json."
    elif status == 405:
        detail = (
            f"{request.method} is not possible here; allowed: {(error.headers or {}).get('Allow', 'see openapi.json')}."
        )
    else:
        detail = str(error.detail)
    slug, title = OF_HTTP.get(status, ("http", str(error.detail)))
    return response(problem(status, slug, title, detail=detail), error.headers)
