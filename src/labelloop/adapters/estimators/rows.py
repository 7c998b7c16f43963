"""Rows of features on their way into an estimator: checked for training, dense or sparse as it can take, in blocks."""

from collections.abc import Iterator

import numpy as np
from scipy.sparse import csr_array, issparse

from labelloop.domain.errors import CannotTrain, InvalidFeatures
from labelloop.maths.arrays import Floats, Ints, Matrix

_BLOCK_BYTES = 64 << 20
_INT32 = np.iinfo(np.int32).max


def trainable(features: Matrix, codes: Ints) -> Ints:
    """The class codes present, ascending, after checks that hold for every estimator.

    Raises:
        CannotTrain: no two classes, rows and codes that do not match, NaN or infinite features.
    """
    if features.ndim != 2 or features.shape[0] != codes.shape[0]:
        raise CannotTrain(
            f"Features of shape {features.shape} do not match {codes.shape[0]} labels. Compute the features again."
        )
    classes = np.unique(codes).astype(np.int64)
    if classes.size < 2:
        raise CannotTrain(
            f"The {codes.shape[0]} labels so far are of {classes.size} class; a model needs two. Label on: the next "
            "training is asked for when more labels arrive."
        )
    bad = _first_not_finite(features)
    if bad is not None:
        row, column = bad
        raise CannotTrain(
            f"Row {row} of the training features has a NaN or infinite value in column {column}. Correct or fill the "
            "item's data, then compute the features again."
        )
    return classes


def same_width(features: Matrix, width: int) -> None:
    """Refuse rows the model was not made for.

    Raises:
        InvalidFeatures: another number of columns.
    """
    if features.ndim != 2 or features.shape[1] != width:
        raise InvalidFeatures(
            f"The model was trained on {width} features; these rows have shape {features.shape}. The features of the "
            "project have changed: train a new model."
        )


def acceptable(features: Matrix, *, sparse: bool) -> Matrix:
    """Rows as scikit-learn takes them: float64; csr sorted and with 32-bit indices (liblinear needs them).

    In float32 naive Bayes on many columns rounds to probabilities that sum to two, and solvers stop early.
    """
    if not issparse(features):
        return np.asarray(features, dtype=np.float64)
    if not sparse:
        return np.asarray(features.toarray(), dtype=np.float64)
    rows = csr_array(features, dtype=np.float64)
    if not rows.has_sorted_indices:
        rows = rows.sorted_indices()
    if rows.nnz <= _INT32 and rows.indices.dtype != np.int32:
        parts = (rows.data, rows.indices.astype(np.int32), rows.indptr.astype(np.int32))
        rows = csr_array(parts, shape=rows.shape)
    return rows


def dense32(features: Matrix) -> Floats:
    """A writable float32 copy."""
    return np.array(features.toarray() if issparse(features) else features, dtype=np.float32)


def blocks(features: Matrix, *, width: int | None = None) -> Iterator[tuple[int, int]]:
    """Bounds (start, stop) of blocks of rows that, dense, stay below 64 MiB of float64 at `width` numbers a row."""
    count = features.shape[0]
    step = max(1, min(65_536, _BLOCK_BYTES // (8 * max(features.shape[1] if width is None else width, 1))))
    for start in range(0, count, step):
        yield start, min(start + step, count)


def _first_not_finite(features: Matrix) -> tuple[int, int] | None:
    if issparse(features):
        places = np.flatnonzero(~np.isfinite(features.data))
        if not places.size:
            return None
        place = places[0]
        return int(np.searchsorted(features.indptr, place, side="right") - 1), int(features.indices[place])
    for start, stop in blocks(features):
        found = np.argwhere(~np.isfinite(features[start:stop]))
        if found.size:
            return start + int(found[0, 0]), int(found[0, 1])
    return None
