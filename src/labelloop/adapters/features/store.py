"""Features of a project's items in files by shard: computed once, by the transform that the first items fitted."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Any

import numpy as np
import orjson
from filelock import FileLock

from labelloop.adapters.features import shards, transforms
from labelloop.adapters.features.transforms import Transform
from labelloop.disk import arrays
from labelloop.disk.arrays import ArraySet
from labelloop.domain.errors import InvalidFeatures
from labelloop.domain.states import ItemState
from labelloop.domain.types import Item
from labelloop.maths.arrays import Ints, Matrix, present
from labelloop.maths.geometry import stack
from labelloop.projects import Project

_FORMAT = 1
"""Raise it when the same section gives other rows: all features are then computed again."""
_TRANSFORM = "transform"


class FeatureFiles:
    """Implements ports.FeatureStore below `home/projects/PROJECT/features/VERSION`.

    Any number of processes may call at once. One computes per project and version, under a file lock that dies with its
    holder; a reader sees a shard whole or not at all.
    """

    def __init__(self, home: Path, roots: tuple[Path, ...] = ()) -> None:
        self._home = home / "projects"
        self._roots = roots
        self._fitted: dict[tuple[str, str], tuple[str, Transform]] = {}

    def ensure(self, project: Project, shard: int, items: Sequence[Item]) -> None:
        """Compute the features of a shard whose rows are `items`, unless they are there.

        The first call for a project and its `features` section fits the transform on the items it is given; when the
        shard has grown, only the new rows are computed. Each row remembers a digest of its item: when the items are
        not those the rows were made of (a project that was deleted and made anew), all is computed again.

        Raises:
            InvalidFeatures: names the item's key and field, and what to do.
        """
        if not items:
            return
        marks = marks_of(items)
        folder = self._folder(project)
        if _covers(arrays.read(folder, _name(shard)), marks):
            return
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f"{folder.name}.lock")):
            known = arrays.read(folder, _name(shard))
            if _covers(known, marks):
                return
            if known is not None and not _agrees(known, marks):
                _remove(folder)
                known = None
            done = 0 if known is None else int(known.notes["rows"])
            fresh = self._compute(project, folder, items[done:])
            matrix = fresh if known is None else stack([_matrix(known), fresh])
            columns = {**shards.pack(matrix), "marks": marks}
            arrays.save(folder, _name(shard), columns, notes={"rows": len(items), "width": int(matrix.shape[1])})

    def adopt(self, project: Project, items: Sequence[Item]) -> bool:
        folder = self._folder(project)
        if not self._strange(project, folder, items):
            return True
        with FileLock(folder.with_name(f"{folder.name}.lock")):
            strange = self._strange(project, folder, items)  # unless another process was faster
            if strange:
                _remove(folder)
        return not strange

    def _strange(self, project: Project, folder: Path, items: Sequence[Item]) -> bool:
        """Whether a row that is there was made of another item."""
        size = project.items.shard_size
        for item, mark in zip(items, marks_of(items), strict=True):
            known = arrays.read(folder, _name(item.number // size))
            place = item.number % size
            if known is not None and place < int(known.notes["rows"]) and known.arrays["marks"][place] != mark:
                return True
        return False

    def rows(self, project: Project, shard: int) -> int:
        notes = arrays.describe(self._folder(project), _name(shard))
        return 0 if notes is None else int(notes["rows"])

    def shard(self, project: Project, shard: int) -> Matrix:
        """The rows of one shard, memory-mapped and read-only.

        Raises:
            InvalidFeatures: they are not computed yet.
        """
        return self._read(project, shard, shard * project.items.shard_size)

    def take(self, project: Project, numbers: Ints) -> Matrix:
        """The rows of these items (n, d), in the order asked, in memory. Nothing else is read.

        Raises:
            InvalidFeatures: an item whose features are not computed yet.
        """
        wanted = np.asarray(numbers, dtype=np.int64)
        if not len(wanted):
            return self._nothing(project)
        places = wanted // project.items.shard_size
        parts, order = [], []
        for shard in present(places).tolist():
            here = np.flatnonzero(places == shard)
            rows = wanted[here] - shard * project.items.shard_size
            matrix = self._read(project, shard, int(wanted[here[0]]))
            if rows.max() >= matrix.shape[0]:
                raise _missing(project, int(wanted[here[rows.argmax()]]))
            parts.append(shards.pick(matrix, rows))
            order.append(here)
        if len(parts) == 1:
            return parts[0]
        return shards.pick(stack(parts), np.argsort(np.concatenate(order)))

    def shape(self, project: Project) -> tuple[int, ...] | None:
        """Height, width and channels of one item's pixels; None for other features and before the first fit."""
        if project.features.kind != "pixels":
            return None
        fitted = self._transform(project, self._folder(project))
        return None if fitted is None else fitted.shape

    def version(self, project: Project) -> str:
        """Which features these are: the same digest means the same way from item to row."""
        section: dict[str, Any] = {
            "format": _FORMAT,
            "features": project.features.model_dump(mode="json"),
            "shard_size": project.items.shard_size,
            "seed": project.seed,
        }
        return hashlib.sha256(orjson.dumps(section, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]

    def _folder(self, project: Project) -> Path:
        return self._home / project.name / "features" / self.version(project)

    def _read(self, project: Project, shard: int, number: int) -> Matrix:
        """One shard, for the sake of the item of this number."""
        found = arrays.read(self._folder(project), _name(shard))
        if found is None:
            raise _missing(project, number)
        return _matrix(found)

    def _nothing(self, project: Project) -> Matrix:
        """No rows, as wide as the others, where there are any."""
        for entry in sorted(self._folder(project).glob("shard-*.json")):
            found = arrays.read(entry.parent, entry.stem)
            if found is not None:
                return shards.pick(_matrix(found), np.zeros(0, dtype=np.int64))
        return np.zeros((0, 0), dtype=np.float32)

    def _compute(self, project: Project, folder: Path, items: Sequence[Item]) -> Matrix:
        """The rows of items, by a transform that is fitted on them if none is there yet. The caller holds the lock."""
        fitted = self._transform(project, folder)
        transform = fitted or transforms.fit(
            project.features, _real(_in_use(items)), roots=self._roots, seed=project.seed
        )
        rows = _apply(transform, items)
        if fitted is None:
            # Kept only now: a fit whose own items it cannot turn into rows must not bind the items to come.
            arrays.save(folder, _TRANSFORM, transform.arrays(), notes=transform.notes())
        return rows

    def _transform(self, project: Project, folder: Path) -> Transform | None:
        """The fitted transform, read again only when another one was fitted; None before the first fit."""
        version = arrays.version(folder, _TRANSFORM)
        key = (project.name, folder.name)
        if key in self._fitted and self._fitted[key][0] == version:
            return self._fitted[key][1]
        found = arrays.read(folder, _TRANSFORM)
        if found is None:
            return None
        fitted = transforms.restore(project.features, found.arrays, found.notes, roots=self._roots)
        self._fitted[key] = (found.version, fitted)
        return fitted


def _name(shard: int) -> str:
    return f"shard-{shard:06d}"


def _matrix(found: ArraySet) -> Matrix:
    return shards.unpack(found.arrays, int(found.notes["width"]))


def _in_use(items: Sequence[Item]) -> Sequence[Item]:
    """Items that are not retired; all of them when there are no others."""
    return [item for item in items if item.state is not ItemState.RETIRED] or items


def _real(items: Sequence[Item]) -> Sequence[Item]:
    """Items that nobody made up, for what is fitted decides what the pool looks like; all when there are no others."""
    return [item for item in items if item.metadata.get("synthetic") is not True] or items


def _apply(transform: Transform, items: Sequence[Item]) -> Matrix:
    """Rows of items. A retired item that cannot be turned into numbers gets a row of zeros: it is never asked."""
    try:
        return transform.apply(items)
    except InvalidFeatures:
        alive = _in_use(items)
        if len(alive) == len(items):
            raise
        rows = transform.apply(alive)
        places = np.flatnonzero([item.state is not ItemState.RETIRED for item in items])
        return shards.spread(rows, places, len(items))


def _covers(known: ArraySet | None, marks: Ints) -> bool:
    return known is not None and int(known.notes["rows"]) >= len(marks) and _agrees(known, marks)


def _agrees(known: ArraySet, marks: Ints) -> bool:
    """Whether the rows were made of the same items, as far as both go."""
    both = min(len(marks), int(known.notes["rows"]))
    return bool(np.array_equal(known.arrays["marks"][:both], marks[:both]))


def marks_of(items: Sequence[Item]) -> Ints:
    """A digest of 64 bits per item (n,): enough to notice that a pool is another one."""
    digests = (hashlib.blake2b(_plain(item), digest_size=8).digest() for item in items)
    return np.frombuffer(b"".join(digests), dtype=np.uint64)


def _plain(item: Item) -> bytes:
    try:
        return item.key.encode() + orjson.dumps(item.data, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # integers of more than 64 bits
        return item.key.encode() + json.dumps(item.data, sort_keys=True).encode()


def _missing(project: Project, number: int) -> InvalidFeatures:
    return InvalidFeatures(
        f"Project {project.name!r}: the features of item number {number} are not computed yet. Plan a round first.",
        project=project.name,
    )


def _remove(folder: Path) -> None:
    """Delete a folder such that nobody sees half of it; maps of its files stay valid."""
    grave = folder.with_name(f".{folder.name}.{token_hex(6)}")
    with suppress(OSError):
        folder.rename(grave)
    shutil.rmtree(grave, ignore_errors=True)
