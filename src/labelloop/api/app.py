"""The HTTP application: routes, middleware and errors put together over the ports it is given."""

from typing import Any

import anyio
from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from labelloop.api import bodies, problems
from labelloop.api.context import Context
from labelloop.api.gauges import PortSampler
from labelloop.api.keys import KeyRing
from labelloop.api.middleware import BodyLimit, Observe, SafeHeaders
from labelloop.api.routes import ROUTERS, role_of
from labelloop.api.routes.data import INGESTS_AT_ONCE
from labelloop.api.shortcut import Shortcut
from labelloop.ports import Ports
from labelloop.settings import Settings
from labelloop.telemetry import Metrics

VERSION = "1"
_REFERENCE = "#/components/schemas/{model}"


def create_app(ports: Ports, settings: Settings) -> FastAPI:
    """The application over these ports."""
    app = FastAPI(
        title="labelloop",
        version=VERSION,
        description="An active-learning labeling service. Send your key as `Authorization: Bearer ll_…`.",
        openapi_url=None,  # a route of our own, with a declared role
        docs_url=None,  # they load scripts from elsewhere, which our policy forbids
        redoc_url=None,
    )
    metrics = Metrics()
    metrics.measure_with(PortSampler(ports))
    context = Context(
        ports=ports,
        settings=settings,
        keyring=KeyRing(ports.keys, settings.hashing_secret),
        metrics=metrics,
        ingests=anyio.CapacityLimiter(INGESTS_AT_ONCE),
    )
    app.state.context = context
    for router in ROUTERS:
        app.include_router(router)
    problems.install(app)
    app.add_middleware(Shortcut, context=context)
    app.add_middleware(BodyLimit, most=settings.max_body)
    app.add_middleware(Observe, metrics=metrics)
    app.add_middleware(SafeHeaders)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


_REFUSAL = {
    "description": "What went wrong and what to do (RFC 9457)",
    "content": {problems.MEDIA_TYPE: {"schema": {"$ref": _REFERENCE.format(model="Problem")}}},
}


def _complete(call: dict[str, Any]) -> None:
    """Say who may make this call, and how it fails."""
    role = role_of(call["operationId"])
    call["security"] = [{"key": []}] if role else []
    call["x-role"] = role or "public"
    call["responses"].pop("422", None)  # FastAPI's own shape of an error, which we do not use
    call["responses"]["default"] = _REFUSAL


def _openapi(app: FastAPI) -> dict[str, Any]:
    """FastAPI's document, with the bodies that we read ourselves, the key, and the shape of problems."""
    if app.openapi_schema is None:
        document = FastAPI.openapi(app)
        _, definitions = models_json_schema(
            [(model, "validation") for model in bodies.DOCUMENTED], ref_template=_REFERENCE
        )
        components = document.setdefault("components", {})
        components.setdefault("schemas", {}).update(definitions.get("$defs", {}))
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        components["schemas"]["Problem"] = problems.SCHEMA
        for path in document["paths"].values():
            for call in path.values():
                _complete(call)
    return app.openapi_schema or document
