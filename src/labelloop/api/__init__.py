"""The HTTP door."""

from collections.abc import Mapping
from typing import Any

from labelloop.settings import Settings

OPTIONS: Mapping[str, Any] = {
    "log_config": None,  # labelloop.telemetry decides where logs go
    "access_log": False,  # each request is logged by its middleware, with its id and outcome
    "server_header": False,
    "timeout_graceful_shutdown": 10,
}
"""How uvicorn runs the application."""


def serve(settings: Settings) -> None:
    """Run the API and the page in this process until it is told to stop; requests under way are finished first."""
    import uvicorn

    from labelloop.api.asgi import create

    uvicorn.run(create(settings), host=settings.host, port=settings.port, **OPTIONS)
