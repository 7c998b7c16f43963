"""Rows as files keep them: one array when dense, the three of a csr matrix when sparse; who made them is not known."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.sparse import csr_array, issparse

from labelloop.maths.arrays import Ints, Matrix


def pack(rows: Matrix) -> dict[str, Any]:
    """The arrays that a matrix is kept as."""
    if issparse(rows):
        return {
            "data": rows.data.astype(np.float32, copy=False),
            "indices": rows.indices.astype(np.int32, copy=False),
            "indptr": rows.indptr.astype(np.int64),
        }
    return {"rows": np.asarray(rows, dtype=np.float32)}


def unpack(arrays: Mapping[str, Any], width: int) -> Matrix:
    """The matrix kept in these arrays, still mapped."""
    if "rows" in arrays:
        return np.asarray(arrays["rows"])
    indices, indptr = np.asarray(arrays["indices"]), np.asarray(arrays["indptr"])
    # scipy wants both of one type, and would read all indices into memory to widen them; the pointers are few.
    if len(indices) <= np.iinfo(np.int32).max:
        indptr = indptr.astype(np.int32)
    matrix = csr_array((np.asarray(arrays["data"]), indices, indptr), shape=(len(indptr) - 1, width))
    # Known since they were written; to find out would read every index.
    matrix.has_sorted_indices = True
    matrix.has_canonical_format = True
    return matrix


def pick(matrix: Matrix, rows: Ints) -> Matrix:
    """Some rows, in memory."""
    if issparse(matrix):
        return matrix[rows]
    return np.array(matrix[rows])


def spread(matrix: Matrix, places: Ints, rows: int) -> Matrix:
    """A matrix of `rows` rows with these at `places` (ascending) and zeros elsewhere."""
    if issparse(matrix):
        lengths = np.zeros(rows + 1, dtype=np.int64)
        lengths[places + 1] = np.diff(matrix.indptr)
        return csr_array((matrix.data, matrix.indices, np.cumsum(lengths)), shape=(rows, matrix.shape[1]))
    wide = np.zeros((rows, matrix.shape[1]), dtype=np.float32)
    wide[places] = matrix
    return wide
