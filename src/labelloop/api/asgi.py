"""What a web server loads: `uvicorn labelloop.api.asgi:create --factory` serves the wiring of the environment."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool

from labelloop import telemetry, wiring
from labelloop.api.app import create_app
from labelloop.settings import Settings


def create() -> FastAPI:
    """The application of this environment; its ports are closed when the server stops."""
    settings = Settings()
    telemetry.configure(log_format=settings.log_format, level=settings.log_level)
    ports = wiring.build(settings)
    app = create_app(ports, settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(wiring.close, ports)

    app.router.lifespan_context = lifespan
    return app
