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
    """The small numbers of 0 or more that occur, ascending: without a sort or a hash of all of them.

    Example:
        >>> present(np.array([3, 0, 3])).tolist()
        [0, 3]
    """
    return np.flatnonzero(np.bincount(numbers)) if len(numbers) else np.zeros(0, dtype=np.intp)
