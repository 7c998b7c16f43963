"""What all four kinds of features have in common, and which class does which kind."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from labelloop.adapters.features.columns import Columns
from labelloop.adapters.features.embedding import Embedding
from labelloop.adapters.features.pixels import Pixels
from labelloop.adapters.features.text import Text
from labelloop.domain.types import Item
from labelloop.maths.arrays import Matrix
from labelloop.projects import ColumnFeatures, Features, PixelFeatures, TextFeatures


class Transform(Protocol):
    """A fitted way from items to rows of float32. What it learned is plain arrays and JSON, so nothing is pickled."""

    shape: tuple[int, ...] | None
    """Height, width and channels of one item's pixels; None for other features."""

    def apply(self, items: Sequence[Item]) -> Matrix:
        """Rows (n, d), dense or csr.

        Raises:
            InvalidFeatures: names the first item that cannot be turned into numbers, its field, and what to do.
        """
        ...

    def arrays(self) -> Mapping[str, Any]:
        """What was learned, as arrays by name."""
        ...

    def notes(self) -> Mapping[str, Any]:
        """What was learned, as JSON."""
        ...


def fit(section: Features, items: Sequence[Item], *, roots: tuple[Path, ...], seed: int) -> Transform:
    """Learn from these items what `section` asks for.

    Raises:
        InvalidFeatures: these items cannot be turned into numbers.
    """
    if isinstance(section, ColumnFeatures):
        return Columns.fit(section, items)
    if isinstance(section, PixelFeatures):
        return Pixels.fit(section, items, roots)
    if isinstance(section, TextFeatures):
        return Text.fit(section, items, np.random.default_rng(seed))
    return Embedding.fit(section, items)


def restore(
    section: Features, arrays: Mapping[str, Any], notes: Mapping[str, Any], *, roots: tuple[Path, ...]
) -> Transform:
    """The transform that gave these arrays and notes."""
    if isinstance(section, ColumnFeatures):
        return Columns.restore(section, arrays, notes)
    if isinstance(section, PixelFeatures):
        return Pixels.restore(section, notes, roots)
    if isinstance(section, TextFeatures):
        return Text.restore(section, arrays, notes)
    return Embedding.restore(section, notes)
