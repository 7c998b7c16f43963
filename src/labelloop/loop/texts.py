"""What the texts of a pool say, as numbers: a digest without case and punctuation, and which keywords each holds.

Computed once per shard and kept as columns beside the features, under a name that changes with the keywords.
"""

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from labelloop import schema
from labelloop.domain.types import Item
from labelloop.maths.arrays import Ints, present
from labelloop.ports import Ports
from labelloop.projects import Project

_OTHER = re.compile(r"[\W_]+")


class Texts(Protocol):
    """What the items of a pool say."""

    def digests(self, numbers: Ints) -> Ints:
        """(n,) uint64: equal for items that say the same but for case, spaces and punctuation; 0 says nothing."""
        ...

    def of(self, code: int) -> Ints:
        """Numbers (k,), ascending, of the items that hold a keyword of this class."""
        ...


def plain(text: str) -> str:
    """Lower case, compatible signs made one, words alone, a space between."""
    return _OTHER.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()


def digest(text: str) -> int:
    """64 bits of a text's words; 0 where it has none."""
    words = plain(text)
    return int.from_bytes(hashlib.blake2b(words.encode(), digest_size=8).digest(), "big") if words else 0


def needed(project: Project) -> bool:
    """Whether anything in the project file needs to know what texts say."""
    return project.items.kind == "text" and bool(
        project.minority.keywords or project.strategy.near_duplicates is not None
    )


class PoolTexts:
    """The texts of a pool in shards. Implements loop.texts.Texts."""

    def __init__(self, ports: Ports, project: Project, items: int) -> None:
        self._ports, self._project = ports, project
        self._size, self._items = project.items.shard_size, items
        self._keywords = [
            [f" {plain(word)} " for word in project.minority.keywords.get(name, ())]
            for name in schema.of(project).classes
        ]
        self._field = project.shown_field or "text"
        said = hashlib.sha256(repr((self._field, self._keywords)).encode()).hexdigest()[:16]
        self.column = f"texts-{said}"
        """Name of the columns, to be kept when others are discarded."""

    def digests(self, numbers: Ints) -> Ints:
        """(n,) uint64."""
        found, shard_of = np.zeros(len(numbers), dtype=np.uint64), numbers // self._size
        for shard in present(shard_of).tolist():
            rows = shard_of == shard
            found[rows] = self._read(shard)["digest"][numbers[rows] - shard * self._size]
        return found

    def of(self, code: int) -> Ints:
        """Numbers (k,), ascending; none where the class has no keywords."""
        if not self._keywords[code]:
            return np.zeros(0, dtype=np.int64)
        return np.concatenate(
            [
                np.flatnonzero(self._read(shard)["mentions"][:, code]) + shard * self._size
                for shard in range(-(-self._items // self._size))
            ]
        )

    def _read(self, shard: int) -> Mapping[str, Any]:
        rows = min(self._size, self._items - shard * self._size)
        known = self._ports.scores.read(self._project, self.column, shard)
        if known is None or len(known["digest"]) < rows:
            start = shard * self._size
            known = self._look(self._ports.pool.span(self._project.name, start, start + rows))
            self._ports.scores.write(self._project, self.column, shard, known)
        return known

    def _look(self, items: Sequence[Item]) -> Mapping[str, Any]:
        digests = np.zeros(len(items), dtype=np.uint64)
        mentions = np.zeros((len(items), len(self._keywords)), dtype=bool)
        for row, item in enumerate(items):
            text = str(item.data.get(self._field, ""))
            digests[row], padded = digest(text), f" {plain(text)} "
            mentions[row] = [any(word in padded for word in words) for words in self._keywords]
        return {"digest": digests, "mentions": mentions}
