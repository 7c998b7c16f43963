"""The Redis of a service: somebody else's by URL, or our own, which is started again when it dies."""

import time
from types import TracebackType
from typing import Self

from labelloop import telemetry
from labelloop.adapters.redis.embedded import EmbeddedRedis
from labelloop.domain.errors import LabelloopError
from labelloop.settings import Settings

LOOK_SECONDS = 0.1
PAUSE_SECONDS = 2.0

log = telemetry.logger("labelloop.supervisor")


class RedisServer:
    """Keeps Redis there."""

    def __init__(self, settings: Settings) -> None:
        self._foreign = settings.redis_url
        self._embedded = None if settings.redis_url else EmbeddedRedis(settings.home)
        self._look_at = 0.0

    @property
    def url(self) -> str:
        """Where it listens."""
        return self._foreign or (self._embedded.address if self._embedded else "")

    @property
    def pid(self) -> int | None:
        """The process id of our own, while it runs."""
        if self._embedded is None:
            return None
        try:
            return int((self._embedded.folder / "redis.pid").read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None

    def __enter__(self) -> Self:
        """Start our own.

        Raises:
            Unavailable: no server program, or it does not start.
        """
        if self._embedded is not None:
            self._embedded.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop our own."""
        if self._embedded is not None:
            self._embedded.stop()

    def tend(self) -> bool:
        """Start our own again when it died. Returns whether it did."""
        now = time.monotonic()
        if self._embedded is None or now < self._look_at:
            return False
        self._look_at = now + LOOK_SECONDS
        if self._embedded.running():
            return False
        log.error("process.died", process="redis", restart_in_seconds=0)
        try:
            self._embedded.start()
        except LabelloopError as error:
            log.error("redis.does-not-start", reason=error.detail, again_in_seconds=PAUSE_SECONDS)  # noqa: TRY400
            self._look_at = now + PAUSE_SECONDS
            return False
        return True
