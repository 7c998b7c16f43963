"""Where a rare class may hide: rows like its known examples, small tight groups, and rows far from all others.

For classes that a model cannot know yet. What is found is put to a person; what the model can tell is `balance`'s.
"""

from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from labelloop.maths.arrays import Floats, Ints, Mask, Matrix
from labelloop.maths.geometry import distances, pieces, row_count, squared_lengths, to_nearest

_LEAF = 32
"""Rows of a leaf of the search tree."""
_AT_ONCE = 8_192
"""Rows that are compared with the examples at once."""
_FINE = 0.1
"""Rows nearer than this part of the median distance to a nearest row count as copies of each other."""


class Surroundings(NamedTuple):
    """The nearest rows of each of m rows, nearest first; the first is a row itself, or a copy of it."""

    distances: Floats
    """(m, k + 1), ascending, of float32."""
    neighbours: Ints
    """(m, k + 1), positions."""


class Groups(NamedTuple):
    """For each of m rows the group it may stand for."""

    scores: Floats
    """(m,): higher asks first."""
    sizes: Ints
    """(m,): the group is the row with so many of its nearest rows, itself included."""


def surroundings(points: Floats, *, neighbours: int = 20) -> Surroundings:
    """Who lies near whom, by a k-d tree: O(m log m) in few dimensions, so narrow the rows to about five before.

    Args:
        points: (m, d), dense, finite, d small.
        neighbours: how many beside the row itself, and so the largest group that is seen; fewer where there are fewer.

    Returns:
        Distances and positions, (m, min(neighbours, m - 1) + 1) each.

    Raises:
        ValueError: a value is not finite.

    Example:
        >>> surroundings(np.array([[0.0], [1.0], [3.0]]), neighbours=1).distances.tolist()
        [[0.0, 1.0], [0.0, 1.0], [0.0, 2.0]]
    """
    squared_lengths(points)  # names the row where a value is not finite
    count = min(neighbours + 1, len(points))
    if count < 2:
        alone = np.arange(len(points), dtype=np.int32)[:, None][:, :count]
        return Surroundings(np.zeros(alone.shape, dtype=np.float32), alone)
    tree = cKDTree(points, leafsize=_LEAF)
    order = tree.indices  # who lies near each other is asked about in turn: the tree's nodes stay in the cache
    apart, nearest = np.empty((len(points), count), np.float32), np.empty((len(points), count), np.int32)
    apart[order], nearest[order] = tree.query(points[order], k=count)
    return Surroundings(apart, nearest)


def tight_groups(around: Surroundings) -> Groups:
    """Small groups of rows that lie far closer to each other than to the next row, wherever they are.

    Rare classes tend to be compact, so that the density of rows jumps at their border (He & Carbonell, NIPS 2007,
    "Nearest-neighbor-based active learning for rare category detection"). Here the jump is measured without knowing the
    size of the class: over k, k times the distance of the next row over the distance of the k-th.

    Args:
        around: from `surroundings`.

    Returns:
        Scores 0 or more, and the size of the group with the largest jump.

    Example:
        >>> line = np.array([[0.0], [1.0], [2.0], [3.0], [3.001], [3.002], [4.0], [5.0]])
        >>> tight_groups(surroundings(line, neighbours=3)).scores.argmax().item() in (3, 4, 5)
        True
    """
    distances = around.distances
    if distances.shape[1] < 3:
        return Groups(np.zeros(len(distances)), np.ones(len(distances), dtype=np.int64))
    nearest = distances[:, 1]
    fine = np.float32(_FINE) * (np.median(nearest[nearest > 0]) if (nearest > 0).any() else np.float32(1))
    size = np.arange(1, distances.shape[1] - 1, dtype=np.float32)
    jumps = size * distances[:, 2:] / (distances[:, 1:-1] + fine)
    best = jumps.argmax(axis=1)
    return Groups(jumps[np.arange(len(jumps)), best], best + 2)


def far_groups(around: Surroundings) -> Groups:
    """Rows, and small groups of them, that lie far from all others: outliers, alone or in company.

    The distance from the group to the next row, times the rows of the group, so that a few outliers that keep each
    other company do not hide each other (cf. the microclusters of McCatch, Sánchez Vinces et al., ICDE 2024).

    Args:
        around: from `surroundings`.

    Returns:
        Scores 0 or more, and the size of the group with the widest moat.

    Example:
        >>> line = np.array([[0.0], [1.0], [2.0], [3.0], [9.0], [9.1]])
        >>> far_groups(surroundings(line, neighbours=3)).scores.argmax().item() in (4, 5)
        True
    """
    moats = np.diff(around.distances, axis=1)
    if not moats.shape[1]:
        return Groups(np.zeros(len(moats)), np.ones(len(moats), dtype=np.int64))
    worth = moats * np.arange(1, moats.shape[1] + 1, dtype=np.float32)
    best = worth.argmax(axis=1)
    return Groups(worth[np.arange(len(worth)), best], best + 1)


def heads(groups: Groups, around: Surroundings, count: int, rng: np.random.Generator, *, known: Mask) -> Ints:
    """One row of each group, the highest scores first: who stands near a head, or near a known row, is passed over.

    Args:
        groups: from `tight_groups` or `far_groups`.
        around: what they were made of.
        count: how many at most.
        rng: breaks ties.
        known: (m,), rows that are labeled or in flight.

    Returns:
        (at most count,) positions, none of them known.

    Example:
        >>> around = surroundings(np.array([[0.0], [1.0], [2.0], [3.0], [9.0], [9.1]]), neighbours=3)
        >>> found = heads(far_groups(around), around, 9, np.random.default_rng(0), known=np.zeros(6, dtype=bool))
        >>> found[0].item() in (4, 5), {4, 5} <= set(found.tolist())
        (True, False)
    """
    covered = known.copy()
    for row in np.flatnonzero(known).tolist():
        covered[around.neighbours[row, : groups.sizes[row]]] = True
    found: list[int] = []
    for row in np.lexsort((rng.random(len(covered)), -groups.scores)).tolist():
        if len(found) >= count or groups.scores[row] <= 0:
            break
        if not covered[row]:
            found.append(row)
            covered[row] = True
            covered[around.neighbours[row, : groups.sizes[row]]] = True
    return np.array(found, dtype=np.intp)


class Closest:
    """The rows nearest to each of a few examples, of rows that come in blocks.

    Args:
        examples: (e, d), dense or sparse by rows.
        depth: how many rows each example keeps.

    Example:
        >>> closest = Closest(np.array([[0.0], [9.0]]), depth=1)
        >>> closest.look(np.array([5, 6]), np.array([[1.0], [7.0]]))
        >>> closest.look(np.array([7]), np.array([[0.5]]))
        >>> closest.numbers().tolist()
        [6, 7]
    """

    def __init__(self, examples: Matrix, *, depth: int) -> None:
        self.examples, self._depth = examples, depth
        self._apart: Floats = np.zeros((0, row_count(examples)))
        self._who: Ints = np.zeros((0, row_count(examples)), dtype=np.int64)

    def look(self, numbers: Ints, features: Matrix) -> None:
        """Take in a block of rows (n, d) with their item numbers (n,)."""
        for rows in pieces(len(numbers), _AT_ONCE):
            apart = distances(features[rows], squared_lengths(features[rows]), self.examples)
            if len(self._apart) == self._depth:  # after the first rows few come near enough
                worth = np.flatnonzero((apart < self._apart.max(axis=0)).any(axis=1))
                self._take(numbers[rows][worth], apart[worth])
            else:
                self._take(numbers[rows], apart)

    def _take(self, numbers: Ints, apart: Floats) -> None:
        """Keep the nearest of the rows so far and of these."""
        apart = np.concatenate([self._apart, apart])
        who = np.concatenate([self._who, np.broadcast_to(numbers[:, None], (len(numbers), self._who.shape[1]))])
        if len(apart) > self._depth:
            keep = np.argpartition(apart, self._depth - 1, axis=0)[: self._depth]
            apart, who = np.take_along_axis(apart, keep, axis=0), np.take_along_axis(who, keep, axis=0)
        self._apart, self._who = apart, who

    def numbers(self) -> Ints:
        """All that were kept, ascending, without repeats."""
        return np.unique(self._who)


def likeness(features: Matrix, examples: Matrix, others: Matrix) -> Floats:
    """How much nearer each row is to an example of a class than to a row that is known to be something else.

    Args:
        features: (n, d), dense or sparse by rows.
        examples: (e, d), at least one.
        others: (o, d), perhaps none.

    Returns:
        (n,) in [-1, 0]: minus the distance to the nearest example, as a part of its sum with the distance to the
        nearest of the others; without others, as a part of the largest one.

    Raises:
        ValueError: a value is not finite.

    Example:
        >>> line = np.array([[1.0], [2.0], [3.0]])
        >>> likeness(line, np.array([[0.0]]), np.array([[4.0]])).tolist()
        [-0.25, -0.5, -0.75]
    """
    norms = squared_lengths(features)
    near = np.sqrt(to_nearest(features, norms, examples))
    if row_count(others):
        whole, equal = near + np.sqrt(to_nearest(features, norms, others)), 0.5
    else:
        whole, equal = np.full_like(near, near.max(initial=0)), 0.0
    alike: Floats = -np.divide(near, whole, out=np.full_like(near, equal), where=whole > 0)
    return alike
