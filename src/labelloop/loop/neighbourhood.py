"""Who lies near whom in the pool, found once and kept while the pool stays the same: it depends on no model."""

from collections.abc import Callable

import numpy as np
from scipy.sparse import issparse

from labelloop.maths import rarity
from labelloop.maths.arrays import Floats, Ints, Matrix
from labelloop.maths.rarity import Surroundings

NARROW = 5
"""Columns in which neighbours are looked for: a search tree is of no use in many."""


class Neighbourhood:
    """The surroundings of the items that were asked about last."""

    def __init__(self) -> None:
        self._numbers: Ints | None = None
        self._around: Surroundings | None = None

    def of(self, numbers: Ints, features: Callable[[Ints], Matrix]) -> Surroundings:
        """Surroundings of items whose features can be had. Rows of many columns are projected at random."""
        if self._around is None or self._numbers is None or not np.array_equal(numbers, self._numbers):
            self._around = rarity.surroundings(_narrow(features(numbers)))
            self._numbers = numbers.copy()
        return self._around


def _narrow(features: Matrix) -> Floats:
    """Dense rows of a few columns, the same ones each time; copies stay copies."""
    if features.shape[1] <= NARROW and not issparse(features):
        return np.asarray(features)
    axes = np.random.default_rng(features.shape[1]).standard_normal((features.shape[1], NARROW))
    return np.asarray(features @ axes)
