"""The page for people: static files that ship with the package, and nothing else of the disk."""

import hashlib
from collections.abc import Mapping
from importlib.resources import files

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from labelloop.api.access import PUBLIC

router = APIRouter(include_in_schema=False)

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def _read_all() -> Mapping[str, tuple[bytes, str, str]]:
    """Name → (content, media type, entity tag), read once: a request can only ever name one of these."""
    found = {}
    for entry in files("labelloop.api").joinpath("page").iterdir():
        media_type = _TYPES.get(entry.name[entry.name.rfind(".") :])
        if media_type:
            content = entry.read_bytes()
            found[entry.name] = (content, media_type, f'"{hashlib.sha256(content).hexdigest()[:16]}"')
    return found


_FILES = _read_all()


@router.get("/", operation_id="page", dependencies=[PUBLIC])
async def page(request: Request) -> Response:
    """The page."""
    return _serve(request, "index.html")


@router.get("/page/{name}", operation_id="page_file", dependencies=[PUBLIC])
async def page_file(name: str, request: Request) -> Response:
    """A script, style sheet or picture of the page."""
    return _serve(request, name)


@router.get("/favicon.ico", operation_id="favicon", dependencies=[PUBLIC])
async def favicon(request: Request) -> Response:
    """The picture that browsers ask for unasked."""
    return _serve(request, "icon.svg")


def _serve(request: Request, name: str) -> Response:
    if name not in _FILES:
        raise HTTPException(404)
    content, media_type, tag = _FILES[name]
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=media_type, headers=headers)
