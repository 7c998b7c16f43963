"""The HTTP door."""

import socket
from collections.abc import Mapping
from typing import Any

from labelloop.api.turn import turn
from labelloop.settings import Settings

OPTIONS: Mapping[str, Any] = {
    "log_config": None,  # labelloop.telemetry decides where logs go
    "access_log": False,  # each request is logged by its middleware, with its id and outcome
    "server_header": False,
    "timeout_graceful_shutdown": 10,
}
"""How uvicorn runs the application."""


def serve(settings: Settings, *, fd: int | None = None) -> None:
    """Run the API and the page in this process until it is told to stop; requests under way are finished first.

    With `fd`, an inherited socket that listens already, it serves there as soon as no other process of this home does.
    """
    import uvicorn

    from labelloop.api.asgi import create

    app = create(settings)
    if fd is None:
        uvicorn.run(app, host=settings.host, port=settings.port, **OPTIONS)
        return
    with turn(settings.home):
        uvicorn.Server(uvicorn.Config(app, **OPTIONS)).run(sockets=[socket.socket(fileno=fd)])
