"""The array types that the maths and its callers speak of."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Floats = NDArray[np.floating[Any]]
"""Any floating array; float32 stays float32 wherever a formula allows."""
Ints = NDArray[np.integer[Any]]
Mask = NDArray[np.bool_]
Matrix = Floats | csr_array
"""Features of items, one row each: dense or sparse by rows."""


def present(numbers: Ints) -> Ints:
    """The numbers that occur, ascending: counted where they are small, which is faster than a sort or a hash of them.

    Example:
        >>> present(np.array([3, 0, 3])).tolist(), present(np.array([-1])).tolist()
        ([0, 3], [-1])
    """
    if not len(numbers) or numbers.min() < 0 or numbers.max() > len(numbers) + _SMALL:
        return np.unique(numbers)
    return np.flatnonzero(np.bincount(numbers))


_SMALL = 10_000
