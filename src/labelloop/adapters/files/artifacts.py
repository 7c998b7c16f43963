"""Model files as immutable bytes, known by their SHA-256; what is in them only the estimators know."""

import hashlib
import re
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

from filelock import FileLock

from labelloop.disk import durable
from labelloop.domain.errors import BadArtifact


class ArtifactFiles:
    """Implements ports.Artifacts: one file per digest below `home/artifacts`."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "artifacts"

    def put(self, blob: bytes) -> str:
        """Keep bytes and give their digest. Putting the same bytes again repairs a damaged file."""
        digest = hashlib.sha256(blob).hexdigest()
        path = self._path(digest)
        with self._alone():
            if not (path.is_file() and path.read_bytes() == blob):
                durable.write(path, blob)
        return digest

    def drop(self, digests: Collection[str], needed: Callable[[Collection[str]], Collection[str]]) -> None:
        """Whoever was killed over a deletion does it again; a file that is gone already costs nothing."""
        there = [digest for digest in digests if self._path(digest).exists()]
        if not there:
            return
        with self._alone():
            for digest in set(there).difference(needed(there)):
                path = self._path(digest)
                path.unlink(missing_ok=True)
                with suppress(OSError):  # others lie there, too
                    path.parent.rmdir()

    def _alone(self) -> FileLock:
        self._folder.mkdir(parents=True, exist_ok=True)
        return FileLock(self._folder / ".lock")

    def get(self, digest: str) -> bytes:
        if not re.fullmatch(r"[0-9a-f]{64}", digest):
            raise BadArtifact(f"{digest!r} is not the digest of an artifact: 64 hexadecimal digits.", artifact=digest)
        try:
            blob = self._path(digest).read_bytes()
        except OSError as error:
            raise BadArtifact(
                f"Artifact {digest} cannot be read ({error.strerror}). Promote another model, or train again.",
                artifact=digest,
            ) from None
        if hashlib.sha256(blob).hexdigest() != digest:
            raise BadArtifact(
                f"Artifact {digest} is damaged: its bytes have another digest. Promote another model, or train again.",
                artifact=digest,
            )
        return blob

    def _path(self, digest: str) -> Path:
        return self._folder / digest[:2] / digest
