"""Says what goes wrong once, not at every try; a worker outlives it."""

from collections.abc import Iterator
from contextlib import contextmanager

from labelloop import telemetry
from labelloop.domain.errors import Unavailable


class Troubles:
    """Logs a trouble when it begins and when it is over, not at every try."""

    def __init__(self, doing: str) -> None:
        self._doing = doing
        self._log = telemetry.logger("labelloop.workers")
        self._now: dict[str, str] = {}

    @contextmanager
    def logged(self, about: str) -> Iterator[None]:
        """Swallow and log any error of the body."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - a worker outlives whatever goes wrong
            said = f"{type(error).__name__}: {error}"
            if self._now.get(about) != said:
                self._now[about] = said
                self._log.error(f"{self._doing}.failed", about=about, error=said, exc_info=_unexpected(error))
        else:
            if self._now.pop(about, None):
                self._log.info(f"{self._doing}.recovered", about=about)


def _unexpected(error: Exception) -> bool:
    return not isinstance(error, (Unavailable, ConnectionError, TimeoutError))
