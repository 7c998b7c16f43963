"""Many dimensions on a plane: principal axes of dense and sparse rows, and where a stranger stands among neighbours.

The data are never centred in place: a sparse matrix stays sparse.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import eigh
from scipy.sparse import issparse
from scipy.sparse.linalg import LinearOperator, svds

from labelloop.maths.arrays import Floats, Ints, Matrix

DENSE = 1_200
"""Up to so many columns the covariance is made; beyond, only products with the rows are."""
_BLOCK = 1_024


class Axes(NamedTuple):
    """Directions of greatest variance: mean (d,), rows (k, d) of unit length, and the part of the variance of each."""

    mean: Floats
    directions: Floats
    explained: Floats

    def place(self, features: Matrix) -> Floats:
        """Coordinates (n, k) of rows."""
        return np.asarray(features @ self.directions.T - self.mean @ self.directions.T, dtype=np.float64)


def principal_axes(features: Matrix, count: int, rng: np.random.Generator) -> Axes:
    """The first principal components (Pearson 1901), with signs such that the largest weight of each is positive.

    Args:
        features: (n, d), n ≥ 1, dense or csr. Never made dense.
        count: how many; what the rows have no variance for is filled with zeros.
        rng: where the iteration starts, for wide data. The same rng gives the same axes.

    Example:
        >>> rows = np.array([[0.0, 0.0], [3.0, 3.0], [1.0, 1.0], [2.0, 2.0]])
        >>> axes = principal_axes(rows, 1, np.random.default_rng(0))
        >>> axes.directions.round(2).tolist(), bool(axes.explained[0] > 0.99)
        ([[0.71, 0.71]], True)
    """
    rows, width = features.shape
    if not rows:
        raise ValueError("no rows to lay out")
    mean = np.asarray(features.mean(axis=0), dtype=np.float64).ravel()
    squares = features.multiply(features).sum() if issparse(features) else np.einsum("ij,ij->", features, features)
    total = max(float(squares) - rows * float(mean @ mean), 0.0)
    found = min(count, width, rows)
    if width <= DENSE:
        product = features.T @ features
        covariance = np.asarray(product.todense() if issparse(product) else product, dtype=np.float64)
        values, vectors = eigh(covariance - rows * np.outer(mean, mean), subset_by_index=(width - found, width - 1))
        values, directions = values[::-1], vectors.T[::-1]
    elif found < min(rows, width):
        _, singular, directions = svds(_centred(features, mean), k=found, v0=rng.standard_normal(min(rows, width)))
        order = np.argsort(singular)[::-1]
        values, directions = singular[order] ** 2, directions[order]
    else:  # fewer rows than axes: nothing iterative works, and everything is small
        dense = np.asarray(features.todense() if issparse(features) else features) - mean
        _, singular, directions = np.linalg.svd(dense, full_matrices=False)
        values, directions = singular[:found] ** 2, directions[:found]
    largest = directions[np.arange(len(directions)), np.abs(directions).argmax(axis=1)]
    directions = directions * np.where(largest < 0, -1.0, 1.0)[:, None]
    padded, explained = np.zeros((count, width)), np.zeros(count)
    padded[: len(directions)] = directions
    values = np.clip(values, 0, None)
    if total > 1e-6 * float(squares):  # what is less is rounding
        explained[: len(values)] = values / max(total, float(values.sum()))
    return Axes(mean, padded, explained)


def among_neighbours(known: Floats, places: Floats, strangers: Floats, *, neighbours: int = 5) -> Floats:
    """Where strangers belong on a plane that others are laid out on: the mean place of their nearest, weighted by
    closeness. The layout itself does not move.

    Args:
        known: (n, d) of those that are laid out, n ≥ 1.
        places: (n, 2) where they are.
        strangers: (m, d).
        neighbours: how many are looked at.

    Returns:
        (m, 2).

    Example:
        >>> known, places = np.array([[0.0], [10.0]]), np.array([[0.0, 0.0], [1.0, 1.0]])
        >>> among_neighbours(known, places, np.array([[0.0]]), neighbours=2).round(3).tolist()
        [[0.0, 0.0]]
    """
    nearest = min(neighbours, len(known))
    norms = np.einsum("ij,ij->i", known, known)
    found = np.empty((len(strangers), places.shape[1]))
    for start in range(0, len(strangers), _BLOCK):
        block = strangers[start : start + _BLOCK]
        distances = norms - 2 * block @ known.T + np.einsum("ij,ij->i", block, block)[:, None]
        who: Ints = np.argpartition(distances, nearest - 1, axis=1)[:, :nearest]
        squared = np.maximum(np.take_along_axis(distances, who, axis=1), 0.0)
        weights = 1 / (squared + 1e-9 * (squared.mean() + 1e-12))
        weights /= weights.sum(axis=1, keepdims=True)
        found[start : start + len(block)] = np.einsum("mk,mkp->mp", weights, places[who])
    return found


def _centred(features: Matrix, mean: Floats) -> Any:
    return LinearOperator(
        features.shape,
        matvec=lambda v: features @ v - float(mean @ v.ravel()),
        rmatvec=lambda v: features.T @ v - mean * float(v.sum()),
        matmat=lambda m: features @ m - (mean @ m)[None, :],
        rmatmat=lambda m: features.T @ m - np.outer(mean, m.sum(axis=0)),
        dtype=np.dtype(np.float64),
    )
