"""The labeled set of a project as arrays: features and codes of the pool and of the test set.

Reading is the files adapter's. Features are the features adapter's, fitted on the pool as in the service: the test set
comes as later items, which the fitted transform turns into rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labelloop import schema
from labelloop.adapters.features import shards
from labelloop.adapters.features.store import FeatureFiles
from labelloop.adapters.files.sources import load_source
from labelloop.disk import arrays
from labelloop.domain.errors import InvalidProject
from labelloop.domain.states import ItemState
from labelloop.domain.types import Item, ItemNumber, NewItem
from labelloop.maths.arrays import Ints, Matrix
from labelloop.maths.geometry import stack
from labelloop.projects import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """A labeled set, cut in two: features (n, d) and class codes (n,) of the pool, and the same of the test set.

    A row of the pool is an item by its number: items are numbered in the order of the source, as ingest does. shape:
    height, width and channels of one item's pixels, None for other features.
    """

    features: Matrix
    codes: Ints
    test_features: Matrix
    test_codes: Ints
    shape: tuple[int, ...] | None = None

    def save(self, folder: Path) -> None:
        """Keep it in files that other processes map."""
        for name, features, codes in (
            ("pool", self.features, self.codes),
            ("test", self.test_features, self.test_codes),
        ):
            notes = {"width": features.shape[1], "shape": self.shape}
            arrays.save(folder, name, {"codes": codes, **shards.pack(features)}, notes=notes)

    @classmethod
    def load(cls, folder: Path) -> "Data":
        """Read what `save` kept, memory-mapped."""
        (features, codes, shape), (test_features, test_codes, _) = _read(folder, "pool"), _read(folder, "test")
        return cls(features=features, codes=codes, test_features=test_features, test_codes=test_codes, shape=shape)


def load(project: Project, *, data_dir: Path | None, folder: Path) -> Data:
    """Read the project's source and compute its features below `folder`.

    Raises:
        InvalidProject: no source, or no test set to score on.
        InvalidItems, InvalidFeatures: the source cannot be read or turned into numbers.
    """
    labeled = load_source(project, data_dir)
    if not labeled.test:
        raise InvalidProject(
            f"project {project.name}: its source has no test set to score on; give source.holdout, such as 0.3."
        )
    files = FeatureFiles(folder)
    features = _features(files, project, labeled.pool, shard=0)
    later = -(-len(labeled.pool) // project.items.shard_size)
    return Data(
        features=features,
        codes=_codes(project, labeled.pool),
        test_features=_features(files, project, labeled.test, shard=later),
        test_codes=_codes(project, labeled.test),
        shape=files.shape(project),
    )


def _features(files: FeatureFiles, project: Project, rows: Sequence[NewItem], *, shard: int) -> Matrix:
    """Features of items that stand in the shards from `shard` on."""
    size = project.items.shard_size
    parts = []
    for place, start in enumerate(range(0, len(rows), size), shard):
        items = [_item(place * size + at, row) for at, row in enumerate(rows[start : start + size])]
        files.ensure(project, place, items)
        parts.append(files.shard(project, place))
    return stack(parts)


def _item(number: int, row: NewItem) -> Item:
    return Item(number=ItemNumber(number), key=row.key, data=row.data, state=ItemState.POOLED)


def _codes(project: Project, rows: Sequence[NewItem]) -> Ints:
    code = {label: at for at, label in enumerate(schema.of(project).classes)}
    return np.array([code[row.label or ""] for row in rows], dtype=np.int64)  # the source has checked them


def _read(folder: Path, name: str) -> tuple[Matrix, Ints, tuple[int, ...] | None]:
    kept = arrays.read(folder, name)
    if kept is None:
        raise FileNotFoundError(f"{folder}: there is no set of arrays {name!r}")
    shape = kept.notes.get("shape")
    features = shards.unpack(kept.arrays, int(kept.notes["width"]))
    return features, np.asarray(kept.arrays["codes"]), None if shape is None else tuple(shape)
