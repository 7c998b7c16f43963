"""Keeping bytes that a row will refer to, while a project that had the same may be deleted. Not a verb: others use it.

Artifacts are known by their digest, so two projects may share one: those that were made of the same file do.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from labelloop.domain.errors import UnknownProject
from labelloop.ports import Ports


@contextmanager
def keeping(ports: Ports, blob: bytes) -> Iterator[str]:
    """Keep bytes, and give their digest to the body, which writes the row.

    They are put once more after that: a deletion that looked before the row was there may have taken them away. When it
    is the row's own project that was deleted, they go.
    """
    digest = ports.artifacts.put(blob)
    try:
        yield digest
    except UnknownProject:
        drop(ports, digest)
        raise
    ports.artifacts.put(blob)


def drop(ports: Ports, digest: str) -> None:
    """Take bytes away that no row came to refer to, unless another one does."""
    ports.artifacts.drop([digest], ports.removals.needed)
