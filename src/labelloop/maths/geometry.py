"""Squared distances between rows, dense or sparse, in blocks; and between the gradients of rows, never written out.

What is chosen by them is the business of `diversity`, `clusters` and `rarity`.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np
from scipy.sparse import csr_array, issparse, vstack

from labelloop.maths.arrays import Floats, Ints, Matrix

CELLS = 1 << 22
"""Numbers of one block of distances: 16 MB of float32."""
WIDEST = 256
"""Sparse rows with more columns are projected where dense rows are needed."""
PROJECTED = 128

Rows = Ints | slice


class Space(Protocol):
    """n points whose squared distances from each other can be had without writing the points out."""

    norms: Floats
    """(n,) squared lengths."""

    def between(self, rows: Rows, centres: Ints) -> Floats:
        """Squared distances (m, k) of some points from a few others."""
        ...

    def seen_from(self, rows: Ints) -> Callable[[Ints], Floats]:
        """`between` for the same rows again and again: they are gathered once."""
        ...


class Euclid:
    """Rows as points. Implements geometry.Space."""

    def __init__(self, features: Matrix) -> None:
        """Refuses features that are not finite with a ValueError that names the row."""
        self._features, self.norms = features, squared_lengths(features)

    def between(self, rows: Rows, centres: Ints) -> Floats:
        """Squared distances (m, k)."""
        return distances(self._features[rows], self.norms[rows], self._features[centres])

    def seen_from(self, rows: Ints) -> Callable[[Ints], Floats]:
        """`between` for the same rows again and again."""
        some, norms = self._features[rows], self.norms[rows]
        return lambda centres: distances(some, norms, self._features[centres])

    def to(self, others: Matrix) -> Floats:
        """Squared distance (n,) of each point from the nearest of some other rows (m, d)."""
        return to_nearest(self._features, self.norms, others)


class Gradients:
    """Gradients of the last layer at the predicted class, as points. Implements geometry.Space.

    The gradient of row i is the outer product of its residual r (probabilities minus the one-hot prediction) and its
    features x, so |g_i - g_j|² = |r_i|²|x_i|² + |r_j|²|x_j|² - 2 (r_i·r_j)(x_i·x_j): n·(classes + d) numbers in place
    of n·classes·d (BADGE, Ash et al., arXiv 1906.03671, section 3).
    """

    def __init__(self, probabilities: Floats, features: Matrix) -> None:
        """Refuses rows that do not fit, or are not finite, with a ValueError."""
        self._residuals, self._features = residuals(probabilities), features
        if len(self._residuals) != row_count(features):
            raise ValueError(f"{len(self._residuals)} rows of probabilities for {row_count(features)} of features")
        self.norms: Floats = squared_lengths(self._residuals) * squared_lengths(features)

    def between(self, rows: Rows, centres: Ints) -> Floats:
        """Squared distances (m, k)."""
        return self.seen_from(rows)(centres)

    def seen_from(self, rows: Rows) -> Callable[[Ints], Floats]:
        """`between` for the same rows again and again."""
        some = self._residuals[rows], self._features[rows], self.norms[rows]
        return lambda centres: _apart(some, (self._residuals[centres], self._features[centres], self.norms[centres]))

    def to(self, probabilities: Floats, features: Matrix) -> Floats:
        """Squared distance (n,) of each gradient from the nearest of those of other rows."""
        those = Gradients(probabilities, features)
        nearest = np.full(len(self.norms), np.inf, dtype=self.norms.dtype)
        for few in pieces(len(those.norms), 1024):
            others = those._residuals[few], those._features[few], those.norms[few]
            for rows in pieces(len(nearest), max(CELLS // len(others[2]), 1)):
                some = self._residuals[rows], self._features[rows], self.norms[rows]
                np.minimum(nearest[rows], _apart(some, others).min(axis=1), out=nearest[rows])
        return nearest


def row_count(features: Matrix) -> int:
    """Rows of a matrix, dense or sparse.

    Example:
        >>> row_count(np.zeros((3, 2)))
        3
    """
    return int(features.shape[0])


def stack(parts: Sequence[Matrix]) -> Matrix:
    """Matrices of one kind and width, one below the other.

    Example:
        >>> stack([np.zeros((3, 2)), np.ones((1, 2))]).shape
        (4, 2)
    """
    if issparse(parts[0]):
        return csr_array(vstack(parts, format="csr"))
    return np.concatenate(parts)


def residuals(probabilities: Floats) -> Floats:
    """Probabilities (n, classes) minus one at the likeliest class, the lower one on a tie.

    Example:
        >>> residuals(np.array([[0.75, 0.25]])).tolist()
        [[-0.25, 0.25]]
    """
    if probabilities.ndim != 2 or not probabilities.shape[1]:
        raise ValueError(f"probabilities need shape (rows, classes), got {probabilities.shape}")
    found = probabilities.copy()
    found[np.arange(len(found)), found.argmax(axis=1)] -= 1
    return found


def squared_lengths(features: Matrix) -> Floats:
    """Squared lengths (n,) of rows.

    Raises:
        ValueError: a value is not finite; names the row.

    Example:
        >>> squared_lengths(np.array([[3.0, 4.0]])).tolist()
        [25.0]
    """
    if issparse(features):
        norms = np.asarray(features.multiply(features).sum(axis=1)).ravel()
    else:
        norms = np.einsum("ij,ij->i", features, features)
    bad = np.flatnonzero(~np.isfinite(norms))
    if len(bad):
        raise ValueError(f"row {bad[0]} of the features has a value that is not finite")
    result: Floats = norms if np.issubdtype(norms.dtype, np.floating) else norms.astype(np.float64)
    return result


def distances(features: Matrix, norms: Floats, centres: Matrix) -> Floats:
    """Squared distances (n, k) of rows with these squared lengths from a few centres, both dense or both sparse.

    Example:
        >>> line = np.array([[0.0], [3.0]])
        >>> distances(line, squared_lengths(line), line[:1]).tolist()
        [[0.0], [9.0]]
    """
    return _from_inner(_inner(features, centres), norms, squared_lengths(centres))


def to_nearest(features: Matrix, norms: Floats, centres: Matrix) -> Floats:
    """Squared distance (n,) of each row from the nearest of many centres, in blocks.

    Example:
        >>> line = np.array([[0.0], [3.0]])
        >>> to_nearest(line, squared_lengths(line), np.array([[1.0], [9.0]])).tolist()
        [1.0, 4.0]
    """
    nearest = np.full(len(norms), np.inf, dtype=norms.dtype)
    for few in pieces(row_count(centres), 1024):
        part = centres[few]
        for rows in pieces(len(norms), max(CELLS // row_count(part), 1)):
            np.minimum(nearest[rows], distances(features[rows], norms[rows], part).min(axis=1), out=nearest[rows])
    return nearest


def pieces(n: int, step: int) -> Iterator[slice]:
    """The rows 0 … n - 1 in blocks of at most `step`.

    Example:
        >>> [(part.start, part.stop) for part in pieces(5, 2)]
        [(0, 2), (2, 4), (4, 5)]
    """
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))


def projector(features: Matrix, rng: np.random.Generator) -> "Projector":
    """Makes rows like these dense, and narrow where they are wide and sparse.

    Example:
        >>> projector(np.zeros((4, 3)), np.random.default_rng(0))(np.ones((2, 3), dtype=int)).dtype.name
        'float64'
    """
    if issparse(features) and features.shape[1] > WIDEST:
        kind = np.float32 if features.dtype == np.float32 else np.float64
        axes = rng.standard_normal((features.shape[1], PROJECTED), dtype=kind) / kind(np.sqrt(PROJECTED))
        return Projector(axes)
    return Projector(None)


class Projector:
    """Makes rows dense, and narrow where they are wide; the same way each time."""

    def __init__(self, axes: Floats | None) -> None:
        self._axes = axes

    def __call__(self, features: Matrix) -> Floats:
        """Rows (n, k), dense; distances are kept within some 10 % (Johnson & Lindenstrauss)."""
        rows = features if self._axes is None else features @ self._axes
        dense = np.asarray(rows.toarray() if issparse(rows) else rows)
        return dense if np.issubdtype(dense.dtype, np.floating) else dense.astype(np.float64)


def _apart(some: tuple[Floats, Matrix, Floats], others: tuple[Floats, Matrix, Floats]) -> Floats:
    """Squared distances of gradients, each side as residuals, features and squared lengths."""
    inner = _inner(some[1], others[1])
    inner *= some[0] @ others[0].T
    return _from_inner(inner, some[2], others[2])


def _inner(features: Matrix, centres: Matrix) -> Floats:
    product = features @ centres.T
    dense: Floats = np.asarray(product.toarray() if issparse(product) else product)
    return dense if np.issubdtype(dense.dtype, np.floating) else dense.astype(np.float64)


def _from_inner(inner: Floats, norms: Floats, lengths: Floats) -> Floats:
    """Squared distances from inner products, in their place where the numbers fit."""
    inner *= -2
    inner += norms[:, None]
    inner += lengths[None, :]
    result: Floats = np.maximum(inner, 0, out=inner)
    return result
