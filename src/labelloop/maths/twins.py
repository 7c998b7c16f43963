"""Rows that are as good as the same: the first of each group leads, the others follow it.

The rows come in the order in which they would be asked, so that a leader is the best of its group. Each row is compared
with the leaders before it, in blocks: O(rows · leaders · d), for the head of an order, not for a pool. Beside a few
others a pool can be put, a shard at a time.
"""

import numpy as np

from labelloop.maths.arrays import Floats, Ints, Matrix
from labelloop.maths.geometry import CELLS, distances, pieces, row_count, squared_lengths

_BLOCK = 256
"""Rows that are compared with all leaders at once."""


def followers(
    features: Matrix,
    threshold: float,
    *,
    taken: Matrix | None = None,
    digests: Ints | None = None,
    taken_digests: Ints | None = None,
) -> Ints:
    """Whom each row follows: -1 for a leader, the position of its leader, or -2 for a row that is taken already.

    Two rows are twins when 2 a·b / (|a|² + |b|²) reaches the threshold: the cosine of rows of length one, and for
    others a similarity that also sees their lengths (Dice's coefficient of vectors); equal digests make twins, too.

    Args:
        features: (n, d), dense or sparse by rows; the best first.
        threshold: from above 0 to 1, where only copies are twins.
        taken: (t, d), rows that are labeled or in flight.
        digests: (n,) of what the items say; 0 says nothing.
        taken_digests: (t,) of the rows that are taken.

    Returns:
        (n,) as above. Who follows is a twin of its leader, and leaders are no twins of each other.

    Raises:
        ValueError: features are not finite, or the threshold is none.

    Example:
        >>> rows = np.array([[1.0, 0.0], [0.999, 0.01], [0.0, 1.0]])
        >>> followers(rows, 0.98).tolist(), followers(rows, 0.98, taken=rows[2:]).tolist()
        ([-1, 0, -1], [-1, 0, -2])
    """
    _check_threshold(threshold)
    n, lengths = row_count(features), squared_lengths(features)
    follows = _of_digests(n, digests, taken_digests)
    if taken is not None and row_count(taken):
        for rows in pieces(n, _BLOCK):
            near = _similar(features[rows], lengths[rows], taken).max(axis=1) >= threshold - _ROUNDING
            follows[rows][near] = -2
    leaders: list[int] = []
    for rows in pieces(n, _BLOCK):
        block = np.arange(rows.start, rows.stop)
        block = block[follows[block] == -1]
        if leaders and len(block):
            alike = _similar(features[block], lengths[block], features[leaders])
            best = alike.argmax(axis=1)
            near = alike[np.arange(len(block)), best] >= threshold - _ROUNDING
            follows[block[near]] = np.array(leaders)[best[near]]
            block = block[~near]
        if len(block):
            leaders += _within(block, _similar(features[block], lengths[block], features[block]), threshold, follows)
    return _to_the_top(follows)


def nearest(features: Matrix, others: Matrix, threshold: float) -> tuple[Ints, Floats]:
    """For each row the most similar of some others, where that is a twin.

    Args:
        features: (n, d), dense or sparse by rows.
        others: (k, d), in the same form.
        threshold: as in `followers`.

    Returns:
        Positions (n,) among the others, of equal ones the first, -1 where none is similar enough; and similarities (n,)
        to the most similar one. Memory beside them: one block of distances, `geometry.CELLS` numbers.

    Raises:
        ValueError: features are not finite, or the threshold is none.

    Example:
        >>> places, alike = nearest(np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([[0.0, 1.0], [1.0, 0.01]]), 0.98)
        >>> places.tolist(), alike.round(2).tolist()
        ([1, -1], [1.0, 0.67])
    """
    _check_threshold(threshold)
    n, k, lengths = row_count(features), row_count(others), squared_lengths(features)
    places, most = np.full(n, -1, dtype=np.intp), np.zeros(n)
    if not k:
        return places, most
    for rows in pieces(n, max(1, CELLS // k)):
        alike = _similar(features[rows], lengths[rows], others)
        best = alike.argmax(axis=1)
        most[rows] = alike[np.arange(len(best)), best]
        places[rows] = np.where(most[rows] >= threshold - _ROUNDING, best, -1)
    return places, np.clip(most, 0, 1)


def _check_threshold(threshold: float) -> None:
    if not 0 < threshold <= 1:
        raise ValueError(f"a threshold of similarity lies above 0 and up to 1, not at {threshold}")


_ROUNDING = 1e-6
"""Copies come out a little below 1 in float32."""


def _of_digests(n: int, digests: Ints | None, taken: Ints | None) -> Ints:
    """The first row of each digest leads; a digest that is taken leads away."""
    follows = np.full(n, -1, dtype=np.intp)
    if digests is None:
        return follows
    _, first, group = np.unique(digests, return_index=True, return_inverse=True)
    says = digests != 0
    repeated = says & (first[group] != np.arange(n))
    follows[repeated] = first[group][repeated]
    if taken is not None:
        follows[says & np.isin(digests, taken)] = -2
    return follows


def _within(block: Ints, alike: Floats, threshold: float, follows: Ints) -> list[int]:
    """Leaders among a few rows that follow nobody before them."""
    near, found = alike >= threshold - _ROUNDING, []
    for at in range(len(block)):
        if follows[block[at]] != -1:
            continue
        found.append(int(block[at]))
        those = block[at + 1 :][near[at, at + 1 :]]
        follows[those[follows[those] == -1]] = block[at]
    return found


def _to_the_top(follows: Ints) -> Ints:
    """A digest's leader may itself have come to follow somebody, or be taken: then its followers go with it."""
    for _ in range(2):
        led = np.flatnonzero(follows >= 0)
        above = follows[follows[led]]
        follows[led] = np.where(above == -1, follows[led], above)
    return follows


def _similar(features: Matrix, lengths: Floats, others: Matrix) -> Floats:
    """(n, k); 1 for two rows of zeros."""
    whole = lengths[:, None] + squared_lengths(others)[None, :]
    apart = distances(features, lengths, others)
    result: Floats = 1 - np.divide(apart, whole, out=np.zeros_like(apart), where=whole > 0)
    return result
