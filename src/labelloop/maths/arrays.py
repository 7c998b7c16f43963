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
