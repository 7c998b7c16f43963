"""What a web server loads: `uvicorn labelloop.api.asgi:create --factory` serves the wiring of the environment."""

import gc
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool

from labelloop import telemetry, wiring
from labelloop.api.app import create_app
from labelloop.settings import Settings

SWITCH_SECONDS = 0.0005
"""How long a thread may keep the interpreter from another that waits for it. A group of calls comes back to it after
each statement and each answer of Redis, and would wait for the default of 5 ms each time."""


def create(settings: Settings | None = None) -> FastAPI:
    """The application of this environment, or of these settings; its ports are closed when the server stops."""
    chosen = settings or Settings()
    telemetry.configure(log_format=chosen.log_format, level=chosen.log_level)
    ports = wiring.build(chosen)
    app = create_app(ports, chosen)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        # What is there by now stays for good. Walking through all of it again and again, the garbage collector would
        # stop every request for a tenth of a second, some seconds apart.
        gc.collect()
        gc.freeze()
        sys.setswitchinterval(SWITCH_SECONDS)
        yield
        await run_in_threadpool(wiring.close, ports)

    app.router.lifespan_context = lifespan
    return app
