"""Who works on which job, as locks on files: the kernel lets go of a lock when its process ends, however that ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from labelloop.domain.job_names import attempt_of
from labelloop.domain.types import JobId


class ClaimFiles:
    """Implements ports.Claims: `home/claims/JOB-ATTEMPT.lock`, gone when the attempt is over."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "claims"

    @contextmanager
    def hold(self, job: JobId, attempt: int) -> Iterator[bool]:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._path(job, attempt)
        lock = FileLock(path, blocking=False)
        try:
            lock.acquire()
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            path.unlink(missing_ok=True)  # before the lock is free, so that nobody finds it and takes us for dead
            lock.release()

    def dropped(self, job: JobId, attempt: int) -> bool:
        path = self._path(job, attempt)
        return path.exists() and self._free(path)

    def held(self, name: str) -> bool:
        """What dead processes left of the project goes on the way."""
        held = [path for path in self._folder.glob("*.lock") if attempt_of(name, path.stem) and not self._free(path)]
        return bool(held)

    def _free(self, path: Path) -> bool:
        try:
            with FileLock(path, blocking=False):
                path.unlink(missing_ok=True)
        except Timeout:
            return False
        return True

    def _path(self, job: JobId, attempt: int) -> Path:
        return self._folder / f"{job}-{attempt}.lock"
