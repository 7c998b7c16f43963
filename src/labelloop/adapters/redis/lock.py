"""One holder at a time across processes and hosts, for as long as it says; who comes second does not wait."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import redis
from redis.exceptions import LockError

from labelloop.adapters.redis.connection import guarded


class RedisLock:
    """Implements ports.Lock. A holder that dies is out after its seconds; only the holder can let go."""

    def __init__(self, connection: "redis.Redis") -> None:
        self._connection = connection

    @contextmanager
    def hold(self, name: str, seconds: float) -> Iterator[bool]:
        """Enter with True when the lock is ours.

        Raises:
            Unavailable: the server does not answer.
        """
        lock = self._connection.lock(f"labelloop:lock:{name}", timeout=seconds, blocking=False, thread_local=False)
        ours = bool(guarded(lock.acquire)())
        try:
            yield ours
        finally:
            if ours:
                with suppress(LockError):  # it ran out, and may be another's by now
                    guarded(lock.release)()
