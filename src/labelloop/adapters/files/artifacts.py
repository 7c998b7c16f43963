"""Model files as immutable bytes, known by their SHA-256; what is in them only the estimators know."""

import hashlib
import re
from pathlib import Path

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
        if not (path.is_file() and path.read_bytes() == blob):
            durable.write(path, blob)
        return digest

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
