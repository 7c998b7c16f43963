"""The HTTP door."""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

from filelock import FileLock

from labelloop.disk import home
from labelloop.settings import Settings

OPTIONS: Mapping[str, Any] = {
    "log_config": None,  # labelloop.telemetry decides where logs go
    "access_log": False,  # each request is logged by its middleware, with its id and outcome
    "server_header": False,
    "timeout_graceful_shutdown": 10,
}
"""How uvicorn runs the application."""


PID_FILE = "api.pid"
"""In the home folder: which of several API processes serves."""
STARTUP_FAILED = 3
"""Exit code when the server could not begin; its log says why."""


def serve(settings: Settings, *, standby: bool = False, fd: int | None = None) -> None:
    """Run the API and the page in this process until it is told to stop; requests under way are finished first.

    With `standby`, one process of a home serves and the others wait, loaded, until its lock is free: when the one that
    serves is killed, the next answers at once instead of after a start. With `fd`, an inherited socket that listens
    already, callers wait meanwhile instead of being refused.
    """
    import uvicorn

    from labelloop.api.asgi import create

    server = uvicorn.Server(uvicorn.Config(create(settings), host=settings.host, port=settings.port, **OPTIONS))
    with _turn(settings) if standby else nullcontext(), suppress(KeyboardInterrupt):
        server.run(sockets=None if fd is None else [socket.socket(fileno=fd)])
    if not server.started:
        raise SystemExit(STARTUP_FAILED)


@contextmanager
def _turn(settings: Settings) -> Iterator[None]:
    home.make_writable(settings.home)
    with FileLock(settings.home / "api.lock", poll_interval=0.02):  # the lock of a killed process is free
        (settings.home / PID_FILE).write_text(str(os.getpid()), "ascii")
        yield
