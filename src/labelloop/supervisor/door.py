"""The socket that a service listens on, held by the supervisor: who calls while the API is gone waits, and is served.

Each API process inherits it. The kernel keeps callers in line until one of them accepts.
"""

import socket
from contextlib import suppress
from types import TracebackType
from typing import Self

from labelloop.domain.errors import Conflict

LINE = 2048
"""Callers that may wait in line."""


class Door:
    """Open it before the API starts; it is closed when the service ends."""

    def __init__(self, host: str, port: int) -> None:
        self._where = (host, port)
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)

    @property
    def fd(self) -> int:
        """The number under which a child inherits it."""
        return self._socket.fileno()

    def __enter__(self) -> Self:
        """Listen.

        Raises:
            Conflict: somebody listens there already.
        """
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind(self._where)
            self._socket.listen(LINE)
        except OSError as error:
            self._socket.close()
            port = self._where[1]
            raise Conflict(
                f"Port {port} is taken ({error.strerror}). Set LABELLOOP_PORT, or 0 for any free one."
            ) from None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with suppress(OSError):
            self._socket.close()
